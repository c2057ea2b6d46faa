import { readJournal, type AuditEvent } from '@healthcloud/auth/audit'
import type { Stage } from '../stage.ts'
import type { Credentials } from './credentials.ts'

/** What the compliance people get: one event a call and one a change of a key, none with a credential, a path or a name in it. */
export async function showJournal(stage: Stage, credentials: Credentials): Promise<void> {
  const { print, servers, settings } = stage
  print.title('The audit journal')
  await Promise.all(servers.map(({ auth }) => auth.audit.flush()))
  const events = []
  for await (const event of readJournal(settings.journal)) events.push(event)
  const calls = events.filter(({ kind }) => kind === 'access')
  for (const [what, count] of Object.entries(outcomesOf(calls)).toSorted(([a], [b]) => a.localeCompare(b)))
    print.row([what, String(count)])
  const sample = calls.findLast(({ outcome, phi }) => outcome === 'success' && phi?.patients.length === 1)
  print.line(`One of ${calls.length}: ${JSON.stringify(sample)}`)
  print.fact('journal', { events: calls.length, ...comparedWith(stage.client.answered, calls) })
  showToken(print, events, credentials)
  showChanges(
    print,
    events.filter(({ kind }) => kind === 'admin'),
  )
}

function outcomesOf(calls: readonly AuditEvent[]): Record<string, number> {
  const outcomes: Record<string, number> = {}
  for (const { outcome, reason } of calls) {
    const what = reason === null ? outcome : `${outcome}: ${reason}`
    outcomes[what] = (outcomes[what] ?? 0) + 1
  }
  return outcomes
}

/** `unanswered`: events of calls that were broken off. */
function comparedWith(answered: ReadonlySet<string>, calls: readonly AuditEvent[]) {
  const ids = calls.map(({ requestId }) => requestId ?? '')
  const known = new Set(ids)
  return {
    calls: answered.size,
    withoutEvent: [...answered].filter((id) => !known.has(id)).length,
    twice: ids.length - known.size,
    unanswered: [...known].filter((id) => !answered.has(id)).length,
  }
}

/** One `jti` leads from the key that got a token, at an issuer that is long dead, to each call with it. */
function showToken(print: Stage['print'], events: readonly AuditEvent[], { token }: Credentials): void {
  const { jti } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as { jti: string }
  const its = events.filter(({ actor }) => actor.jti === jti)
  const exchanges = its.filter(({ name }) => name === 'token.exchange')
  const calls = its.filter(({ kind }) => kind === 'access')
  const servers = [...new Set(calls.map(({ service }) => service.instance))].toSorted()
  print.row([
    'the token, from its exchange on',
    `${exchanges.length} exchange`,
    `${calls.length} calls`,
    servers.join(' '),
  ])
  print.fact('token', { exchangedOn: exchanges.map(({ service }) => service.instance), calls: calls.length, servers })
}

/** Who did what to which key, and on which server. */
function showChanges(print: Stage['print'], changes: readonly AuditEvent[]): void {
  print.title('Changes of keys, in the same journal')
  for (const { name, actor, service, target } of changes.toSorted((a, b) => a.time.localeCompare(b.time))) {
    print.row([name, `by ${actor.by}`, `on ${service.instance}`, target?.keyId ?? ''])
    print.fact('changes', { name, by: actor.by, on: service.instance, fields: target?.fields ?? null })
  }
}
