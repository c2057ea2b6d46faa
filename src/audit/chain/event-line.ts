import type { AuditActor, AuditCheckpoint, AuditEvent, AuditHttp, AuditPhi, AuditRetention } from '../event.ts'
import { quote } from '../../lib/json-text.ts'
import { finite } from './fit.ts'

/**
 * The event as one line of JSON, without newline, its members in the order of the contract. Written out member by member,
 * not by `JSON.stringify`: a `toJSON` that somebody has planted on a prototype would have its way with the evidence. Members
 * that are not on the list do not get in.
 * @throws {TypeError} for an event that was read from an altered line, and has something else where a text or a list belongs.
 */
export function eventLine(event: AuditEvent): string {
  const { part, service } = event
  return (
    `{"v":1,"id":${quote(event.id)},"kind":"${event.kind}","name":"${event.name}","time":${quote(event.time)},` +
    `"recorded":${quote(event.recorded)},"durationMs":${finite(event.durationMs)},"outcome":"${event.outcome}",` +
    `"reason":${maybe(event.reason)},"action":${maybe(event.action)},"actor":${actorText(event.actor)},` +
    `"target":${targetText(event.target)},"env":"${event.env}","scopes":${scopesText(event.scopes)},` +
    `"client":${clientText(event.client)},"http":${httpText(event.http)},` +
    `"requestId":${maybe(event.requestId)},"operation":${maybe(event.operation)},"purpose":${maybe(event.purpose)},` +
    `"phi":${phiText(event.phi)},"delivered":${maybe(event.delivered)},"count":${finite(event.count)},` +
    `"part":${part === null ? 'null' : `{"n":${finite(part.n)},"of_id":${quote(part.of_id)}}`},` +
    `"service":${serviceText(service)},` +
    `"writer":${quote(event.writer)},"seq":${event.seq},"prev":${maybe(event.prev)}${event.kind === 'system' ? sealText(event) : ''}}`
  )
}

/** All events of a process name the same object. */
let lastService: AuditEvent['service'] | null = null
let lastServiceText = ''

function serviceText(service: AuditEvent['service']): string {
  if (service === lastService) return lastServiceText
  const { name, version, instance } = service
  lastServiceText = `{"name":${quote(name)},"version":${maybe(version)},"instance":${quote(instance)}}`
  lastService = service
  return lastServiceText
}

/** Own members alone: an event of this version has them or lacks them. */
function sealText(event: AuditEvent): string {
  const checkpoint = Object.hasOwn(event, 'checkpoint') ? event.checkpoint : undefined
  const retention = Object.hasOwn(event, 'retention') ? event.retention : undefined
  return (
    (checkpoint === undefined ? '' : `,"checkpoint":${checkpointText(checkpoint)}`) +
    (retention === undefined ? '' : `,"retention":${retentionText(retention)}`)
  )
}

function checkpointText({ keyId, signature }: AuditCheckpoint): string {
  return `{"keyId":${quote(keyId)},"signature":${quote(signature)}}`
}

function retentionText({ writer, segments, lastSeq, lastHash, signed }: AuditRetention): string {
  return (
    `{"writer":${quote(writer)},"segments":[${segments[0]},${segments[1]}],"lastSeq":${lastSeq},` +
    `"lastHash":${quote(lastHash)},"signed":${signed === null ? 'null' : checkpointText(signed)}}`
  )
}

export function actorText(actor: AuditActor): string {
  return (
    `{"kind":${quote(actor.kind)},"org":${maybe(actor.org)},"keyId":${maybe(actor.keyId)},"sub":${maybe(actor.sub)},` +
    `"jti":${maybe(actor.jti)},"graceEnds":${maybe(actor.graceEnds)},"by":${maybe(actor.by)}}`
  )
}

export function scopesText({ granted, required }: AuditEvent['scopes']): string {
  return `{"granted":${list(granted)},"required":${list(required)}}`
}

export function clientText({ ip, via }: AuditEvent['client']): string {
  return `{"ip":${maybe(ip)},"via":${finite(via)}}`
}

function targetText(target: AuditEvent['target']): string {
  if (target === null) return 'null'
  return `{"keyId":${quote(target.keyId)},"org":${quote(target.org)},"fields":${list(target.fields)}}`
}

function httpText(http: AuditHttp | null): string {
  if (http === null) return 'null'
  return (
    `{"method":${quote(http.method)},"route":${quote(http.route)},"status":${number(http.status)},` +
    `"query":${list(http.query)},"bytes":${finite(http.bytes)}}`
  )
}

export function phiText(phi: AuditPhi | null): string {
  if (phi === null) return 'null'
  return (
    `{"interaction":${maybe(phi.interaction)},"types":${list(phi.types)},"patients":${list(phi.patients)},` +
    `"patientCount":${number(phi.patientCount)},"resourceCount":${number(phi.resourceCount)},"bulk":${boolean(phi.bulk)},` +
    `"attribution":${quote(phi.attribution)}}`
  )
}

function number(value: number | null): number | null {
  return value === null ? null : finite(value)
}

function boolean(value: boolean): boolean {
  if (typeof value !== 'boolean') throw new TypeError('Not a boolean.')
  return value
}

export function list(texts: readonly string[]): string {
  if (!Array.isArray(texts)) throw new TypeError('Not a list.')
  let text = ''
  for (const each of texts) text += text === '' ? quote(each) : `,${quote(each)}`
  return `[${text}]`
}

export function maybe(text: string | null): string {
  return text === null ? 'null' : quote(text)
}
