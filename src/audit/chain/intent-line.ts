import { actorText, clientText, list, maybe, phiText, scopesText } from './event-line.ts'
import { quote } from '../../lib/json-text.ts'
import type { AuditIntent } from '../intent.ts'

/** The intent as one line of JSON, without newline; as the event's line, it is written out member by member. */
export function intentLine(intent: AuditIntent): string {
  const { http } = intent
  return (
    `{"v":1,"intent":${quote(intent.intent)},"n":${intent.n},"time":${quote(intent.time)},"action":${maybe(intent.action)},` +
    `"actor":${actorText(intent.actor)},"env":"${intent.env}","scopes":${scopesText(intent.scopes)},` +
    `"client":${clientText(intent.client)},` +
    `"http":{"method":${quote(http.method)},"route":${quote(http.route)},"query":${list(http.query)}},` +
    `"requestId":${maybe(intent.requestId)},"phi":${phiText(intent.phi)},` +
    `"writer":${quote(intent.writer)},"prev":${maybe(intent.prev)}}`
  )
}
