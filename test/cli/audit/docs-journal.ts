import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventOf, makeJournal, pseudonymOf, sealWriter, SECRET, systemEvent, type TestJournal } from './journal.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const WEEK = 7 * DAY
/** The Monday that the pages look back to. */
const MONDAY = Date.parse('2026-11-16T00:00:00Z')
const INTAKE = 'key_3r9Wc0TqVbYx5LhZkN2d'
const REPORTS = 'key_8fTn4Yp6Gd0Qs2Hw5Jx1'

const at = (ms: number) => new Date(ms).toISOString()
const patient = (id: number | string) => pseudonymOf(SECRET, 'k1', ['org_1', String(id)])

/** Nine weeks of one server, as `docs/command-line.md` and `docs/reviewing.md` show them, and the public key of its seals. */
export function docsJournal(): TestJournal {
  const journal = makeJournal()
  const keys = generateKeyPairSync('ed25519')
  writeFileSync(join(journal.directory, 'audit-key.pem'), keys.publicKey.export({ type: 'spki', format: 'pem' }))
  const server = journal.writer('Kq3vT8xZ0b')
  server.write(systemEvent('audit.started', at(MONDAY - 8 * WEEK - DAY)))
  for (let week = 8; week >= 0; week -= 1)
    server.write(
      ...usualWeek(MONDAY - week * WEEK)
        .concat(week === 0 ? incident() : [])
        .toSorted(byTime),
    )
  server.write(systemEvent('audit.stopped', at(MONDAY + WEEK - HOUR)))
  sealWriter(server, keys, at(MONDAY + WEEK - HOUR))
  return journal
}

const byTime = (a: { time: string }, b: { time: string }) => (a.time < b.time ? -1 : 1)

/** Office hours from Monday to Friday, and a report in each night. */
function usualWeek(monday: number) {
  const calls = []
  for (let day = 0; day < 7; day += 1) {
    const atDesk = day < 5 ? 50 : 0
    for (let call = 0; call < atDesk; call += 1) {
      const time = at(monday + day * DAY + 8 * HOUR + call * 600_000)
      calls.push(
        eventOf({ time, actor: { keyId: INTAKE }, phi: { patients: [patient(100 + ((day * 7 + call) % 31))] } }),
      )
    }
    const patients = Array.from({ length: 60 }, (_, index) => patient(100 + index))
    const phi = { interaction: 'search-type', patients, patientCount: 60, resourceCount: 60, bulk: true }
    const http = { route: '/v1/patients' }
    calls.push(
      eventOf({
        time: at(monday + day * DAY + 2 * HOUR),
        actor: { keyId: REPORTS },
        client: { ip: '203.0.113.9' },
        http,
        phi,
      }),
    )
  }
  return calls
}

/** Sunday night: the key of the intake desk, from an address that nobody knows, through the patients. */
function incident() {
  const sunday = MONDAY + 6 * DAY + 3 * HOUR
  const foreign = { actor: { keyId: INTAKE, graceEnds: at(sunday + 20 * HOUR) }, client: { ip: '198.51.100.77' } }
  const denied = {
    outcome: 'denied',
    reason: 'scope_missing',
    phi: null,
    http: { route: '/v1/org/users', status: 403 },
  } as const
  return [
    ...Array.from({ length: 12 }, (_, index) => eventOf({ time: at(sunday + index * 1000), ...foreign, ...denied })),
    ...Array.from({ length: 180 }, (_, index) => {
      return eventOf({
        time: at(sunday + 60_000 + index * 1000),
        ...foreign,
        phi: { patients: [patient(100 + index)] },
      })
    }),
    eventOf({
      time: at(MONDAY + DAY),
      outcome: 'denied',
      reason: 'key_unknown',
      actor: { kind: 'api-key', org: null, keyId: null },
      count: 41,
    }),
    eventOf({
      time: at(MONDAY + 5 * DAY + 22 * HOUR),
      kind: 'admin',
      name: 'key.rotate',
      http: null,
      phi: null,
      actor: { kind: 'none', org: null, keyId: null, by: 'anna@ops-1' },
      target: { keyId: INTAKE, org: 'org_1', fields: [] },
    }),
  ]
}
