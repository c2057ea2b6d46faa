import { afterEach, beforeEach, expect, test } from 'vitest'
import type { JournalSummary } from '../../../src/audit/summary/summary.ts'
import { eventOf, makeJournal, systemEvent, type TestJournal } from './journal.ts'
import { hcAuth, words } from '../hc-auth.ts'

let journal: TestJournal

beforeEach(() => {
  journal = makeJournal()
})

afterEach(() => journal.remove())

const summary = (line = '') =>
  hcAuth(words(`audit summary ${line}`), { env: { HEALTHCLOUD_AUDIT_DIR: journal.directory } })

const DAY = 86_400_000
const at = (day: string, clock = '12:00:00') => `${day}T${clock}.000Z`
const WEEK = '--since 2026-11-16 --until 2026-11-23'

async function figures(line: string): Promise<JournalSummary & { readonly unreadable: number }> {
  const { code, stdout, stderr } = await summary(`${line} --json`)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as JournalSummary & { readonly unreadable: number }
}

test('an empty journal', async () => {
  const { code, stdout, stderr } = await summary(WEEK)
  expect({ code, stderr }).toEqual({ code: 0, stderr: 'There is no event in this journal.\n' })
  expect(stdout).toBe(`From 2026-11-16 00:00 to 2026-11-23 00:00, UTC.
There is nothing to compare with: this journal does not hold the week before it.
ADDRS: addresses first seen. HOURS: calls at unusual hours.
ROTATED: calls with a key that was rotated. -: cannot be told.

No key was used.

Calls without an identity                                  0 (-)
Calls that nobody attributed                               0 (-)
Calls interrupted by a crash                               0 (-)
Calls that stand in no event (gaps)                        0 (-)
Audit stops                                                0 (-)
Audit starts                                               0 (-)
Crashes cleaned up after                                   0 (-)
Clock jumps                                                0 (-)
`)
})

test('one server after the other, and what the weeks before were like', async () => {
  const [old, young] = [journal.writer('z'), journal.writer('a')]
  old.write(systemEvent('audit.started', at('2026-11-01')), eventOf({ time: at('2026-11-03') }))
  old.nextSegment()
  old.write(eventOf({ time: at('2026-11-10') }), eventOf({ time: at('2026-11-10') }))
  old.intent()
  young.write(eventOf({ time: at('2026-11-16') }), eventOf({ time: at('2026-11-22', '23:59:59') }))
  young.write(eventOf({ time: at('2026-11-23', '00:00:00') }))
  const { periods, keys, unreadable } = await figures(WEEK)
  expect({ periods, unreadable, calls: keys[0]?.calls }).toEqual({
    periods: 2,
    unreadable: 0,
    calls: { count: 2, mean: 1.5 },
  })
})

test('the last seven days are what is looked at', async () => {
  const ago = (days: number) => new Date(Date.now() - days * DAY).toISOString()
  const times = [80, 20, 8, 6.9, 1.5, 0.001].map((days) => eventOf({ time: ago(days) }))
  journal.writer('w1').write(...times)
  const { periods, keys } = await figures('')
  expect([periods, keys[0]?.calls]).toEqual([8, { count: 3, mean: 0.25 }])
  expect((await figures('--since 24h')).keys[0]?.calls).toEqual({ count: 1, mean: 0.375 })
})

test('what is longer than a week or two is not read', async () => {
  const writer = journal.writer('w1')
  writer.write(eventOf({ time: at('2026-01-01') }))
  writer.raw('no line\n')
  writer.write(eventOf({ time: at('2026-01-02') }))
  writer.nextSegment()
  writer.write(eventOf({ time: at('2026-11-16') }))
  expect(await figures(WEEK)).toMatchObject({ periods: 8, unreadable: 0 })
})

test('fits in 80 columns, whatever the numbers and names are', async () => {
  const long = 'x'.repeat(300)
  const actor = { keyId: long, org: long, graceEnds: at('2026-12-01') }
  const busy = { time: at('2026-11-16'), count: 123_456_789, actor }
  const addresses = Array.from({ length: 30 }, (_, index) => `2001:db8:1234:5678:9abc:def0:1234:${index + 1000}`)
  journal
    .writer('w1')
    .write(
      systemEvent('audit.started', at('2026-09-01')),
      eventOf({ ...busy, time: at('2026-10-01') }),
      eventOf({ ...busy, phi: { bulk: true, attribution: 'none' }, http: { route: `/${long}` } }),
      eventOf({ ...busy, outcome: 'denied', reason: long as 'key_unknown' }),
      ...addresses.map((ip) => eventOf({ ...busy, client: { ip } })),
      eventOf({ time: at('2026-11-16'), kind: 'admin', name: long as 'request' }),
    )
  const { code, stdout } = await summary(WEEK)
  expect(code).toBe(0)
  expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
  expect(stdout).toContain('and 10 more')
  expect(stdout).toContain('xxxxxxxxxxxxxxxxxxxxxxx… 3950617k         1   123M 123457k     30  3951M   3951M')
})

test('a key that was not seen before is new, and tokens may name no key', async () => {
  journal
    .writer('w1')
    .write(
      systemEvent('audit.started', at('2026-11-01')),
      eventOf({ time: at('2026-11-17'), actor: { kind: 'access-token', keyId: null, sub: 'user_1' } }),
    )
  const { stdout } = await summary(WEEK)
  expect(stdout).toContain('\ntokens without a key            1         1      0       0      1      -       0\n')
  expect(stdout).toContain('\n  new, of org_1               (0)       (0)    (0)     (0)    (0)    (-)     (0)\n')
})
