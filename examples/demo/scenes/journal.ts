import { readJournal, type AuditEvent } from '@healthcloud/auth/audit'
import type { Stage } from '../stage.ts'

/** What the compliance people get: one event a call and one a change of a key, none with a credential, a path or a name in it. */
export async function showJournal({ print, servers, client, journal }: Stage): Promise<void> {
  print.title('The audit journal')
  await Promise.all(servers.map(({ auth }) => auth.audit.flush()))
  const outcomes: Record<string, number> = {}
  const changes: AuditEvent[] = []
  let total = 0
  let sample: unknown = null
  for await (const event of readJournal(journal)) {
    if (event.kind === 'admin') changes.push(event)
    if (event.kind !== 'access') continue
    total += 1
    const what = event.reason === null ? event.outcome : `${event.outcome}: ${event.reason}`
    outcomes[what] = (outcomes[what] ?? 0) + 1
    if (event.outcome === 'success' && event.phi?.patients.length === 1) sample = event
  }
  for (const [what, count] of Object.entries(outcomes).toSorted(([a], [b]) => a.localeCompare(b)))
    print.row([what, String(count)])
  print.line(`One of ${total}: ${JSON.stringify(sample)}`)
  print.fact('journal', { events: total, calls: client.calls(), outcomes })
  showChanges(print, changes)
}

/** Who did what to which key, and on which server. */
function showChanges(print: Stage['print'], changes: readonly AuditEvent[]): void {
  print.title('Changes of keys, in the same journal')
  for (const { name, actor, service, target } of changes.toSorted((a, b) => a.time.localeCompare(b.time))) {
    print.row([name, `by ${actor.by}`, `on ${service.instance}`, target?.keyId ?? ''])
    print.fact('changes', { name, by: actor.by, on: service.instance, fields: target?.fields ?? null })
  }
}
