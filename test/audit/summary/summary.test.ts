import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../../src/audit/event.ts'
import {
  createSummary,
  historyStart,
  type JournalSummary,
  type SummarySettings,
} from '../../../src/audit/summary/summary.ts'
import { hourOfWeek } from '../../../src/audit/summary/hours.ts'
import { eventOf, systemEvent } from '../../cli/audit/journal.ts'

const HOUR = 3_600_000
const WEEK = 168 * HOUR
const SINCE = Date.parse('2026-11-16T00:00:00Z')
const UNTIL = SINCE + WEEK

const at = (ms: number) => new Date(ms).toISOString()

function summaryOf(events: readonly AuditEvent[], change: Partial<SummarySettings> = {}): JournalSummary {
  const summary = createSummary({ since: SINCE, until: UNTIL, begins: SINCE - 9 * WEEK, ...change })
  for (const event of events) summary.add(event)
  return summary.result()
}

const keyOf = (result: JournalSummary, key = 'key_1') => result.keys.find((each) => each.key === key)

const weekly = (count: number) => Array.from({ length: count }, (_, index) => SINCE - (index + 1) * WEEK)

describe('a summary', () => {
  test('of an empty journal has nothing in it, and no means', () => {
    expect(summaryOf([], { begins: null })).toMatchObject({
      since: '2026-11-16T00:00:00.000Z',
      until: '2026-11-23T00:00:00.000Z',
      periods: 0,
      keys: [],
      gaps: { count: 0, mean: null },
      changes: [],
    })
  })

  test.each([
    [SINCE - 9 * WEEK, 8],
    [SINCE - 8 * WEEK, 8],
    [SINCE - 8 * WEEK + 1, 7],
    [SINCE - WEEK, 1],
    [SINCE - WEEK + 1, 0],
    [SINCE + 1, 0],
    [UNTIL + 1, 0],
  ])('compares with whole weeks alone: of a journal that begins at %i with %i', (begins, periods) => {
    expect(summaryOf([], { begins }).periods).toBe(periods)
  })

  test('begins with its first millisecond, and ends before its last', () => {
    const calls = (ms: number) => keyOf(summaryOf([eventOf({ time: at(ms) })]))?.calls
    expect([SINCE, UNTIL - 1].map((ms) => calls(ms)?.count)).toEqual([1, 1])
    expect([SINCE - 1, SINCE - WEEK, SINCE - 8 * WEEK].map((ms) => calls(ms)?.mean)).toEqual([0.125, 0.125, 0.125])
    expect([UNTIL, SINCE - 8 * WEEK - 1].map((ms) => calls(ms))).toEqual([undefined, undefined])
    expect(historyStart({ since: SINCE, until: UNTIL })).toBe(SINCE - 8 * WEEK)
  })

  test('counts the patients of calls that were not refused, and of what continues them, each once', () => {
    const time = at(SINCE)
    const of = (patients: string[], change = {}) => eventOf({ time, phi: { patients }, ...change })
    const result = summaryOf([
      of(['a', 'b']),
      of(['b', 'c'], { part: { n: 2, of_id: 'x' } }),
      of(['d'], { outcome: 'aborted' }),
      of(['e'], { outcome: 'interrupted' }),
      of(['f'], { outcome: 'error' }),
      of(['g'], { outcome: 'denied' }),
      eventOf({ time: at(SINCE - WEEK), phi: { patients: ['a', 'z'] } }),
    ])
    expect(keyOf(result)?.patients).toEqual({ count: 6, mean: 0.25, countIsExact: true, meanIsExact: true })
    expect(keyOf(result)?.calls.count).toBe(5)
    expect(result.interrupted.count).toBe(1)
  })

  test('says where there were too many patients to keep apart', () => {
    const many = (time: number, count: number) =>
      eventOf({ time: at(time), phi: { patients: Array.from({ length: count }, (_, index) => `p${index}`) } })
    const one = summaryOf([many(SINCE, 11), many(SINCE - WEEK, 10)], { caps: { patientsEach: 10 } })
    expect(keyOf(one)?.patients).toEqual({ count: 10, mean: 1.25, countIsExact: false, meanIsExact: true })
    const all = summaryOf([many(SINCE - WEEK, 11), many(SINCE, 3)], { caps: { patients: 12 } })
    expect(keyOf(all)?.patients).toEqual({ count: 1, mean: 1.375, countIsExact: false, meanIsExact: true })
    const before = summaryOf([many(SINCE - WEEK, 11), many(SINCE, 10)], { caps: { patientsEach: 10 } })
    expect(keyOf(before)?.patients).toEqual({ count: 10, mean: 1.25, countIsExact: true, meanIsExact: false })
    // Only what is left out makes it inexact.
    expect(keyOf(summaryOf([many(SINCE, 10), many(SINCE, 10)], { caps: { patients: 10 } }))?.patients).toMatchObject({
      count: 10,
      countIsExact: true,
    })
  })

  test('knows an address that was seen in a week of which the journal holds a part', () => {
    const from = (ms: number, ip: string | null) => eventOf({ time: at(ms), client: { ip } })
    const events = [
      from(SINCE - 1.5 * WEEK, '192.0.2.1'),
      from(SINCE - WEEK, '192.0.2.2'),
      from(SINCE, '192.0.2.1'),
      from(SINCE, '192.0.2.2'),
      from(SINCE, '192.0.2.3'),
      from(SINCE, null),
    ]
    const result = summaryOf(events, { begins: SINCE - 1.5 * WEEK })
    expect(result.periods).toBe(1)
    expect(keyOf(result)).toMatchObject({
      calls: { count: 4, mean: 1 },
      isNew: false,
      addressesFirstSeen: { count: 1, mean: null, addresses: ['192.0.2.3'] },
    })
  })

  test('does not call anything new where the journal does not go back', () => {
    const result = summaryOf([eventOf({ time: at(SINCE) })], { begins: SINCE })
    expect(keyOf(result)).toMatchObject({ isNew: null, addressesFirstSeen: { count: null, mean: null, addresses: [] } })
    expect(keyOf(summaryOf([eventOf({ time: at(SINCE) })]))?.isNew).toBe(true)
  })

  test('gives up telling addresses apart that are too many', () => {
    const events = [0, 1, 2].map((index) => eventOf({ time: at(SINCE), client: { ip: `192.0.2.${index}` } }))
    expect(keyOf(summaryOf(events, { caps: { addressesEach: 2 } }))?.addressesFirstSeen).toEqual({
      count: null,
      mean: null,
      addresses: [],
    })
  })

  test('knows the hours of a week, in UTC', () => {
    expect(hourOfWeek(Date.parse('2026-11-23T00:00:00Z'))).toBe(0)
    expect(hourOfWeek(Date.parse('2026-11-22T23:59:59Z'))).toBe(167)
    expect(hourOfWeek(Date.parse('1969-12-29T00:30:00Z'))).toBe(0)
  })

  test('finds calls at hours at which a key was not used before', () => {
    const usual = weekly(8).flatMap((week) =>
      Array.from({ length: 40 }, (_, index) => eventOf({ time: at(week + 9 * HOUR + index) })),
    )
    const night = [3, 3, 9].map((hour) => eventOf({ time: at(SINCE + hour * HOUR) }))
    // One in 320: often enough.
    const rare = eventOf({ time: at(SINCE - WEEK + 5 * HOUR) })
    const unusual = (events: readonly AuditEvent[], begins = SINCE - 9 * WEEK) =>
      keyOf(summaryOf(events, { begins }))?.unusualHours
    expect(unusual([...usual, ...night])).toEqual({ count: 2, mean: 0, hours: [{ hour: 'Mon 03:00', calls: 2 }] })
    expect(unusual([...usual, rare, eventOf({ time: at(SINCE + 5 * HOUR) })])?.count).toBe(0)
    expect(unusual([...usual, rare, eventOf({ time: at(SINCE + 5 * HOUR), count: 900 })])?.count).toBe(0)
    expect(unusual([...usual.slice(0, 99), ...night])).toEqual({ count: null, mean: null, hours: [] })
    expect(unusual([...usual, ...night], SINCE - 1.9 * WEEK)).toEqual({ count: null, mean: null, hours: [] })
  })

  test('takes no account of the hours of a week of which the journal holds a part', () => {
    const calls = (ms: number, count: number) => eventOf({ time: at(ms), count })
    const events = [calls(SINCE - 2.2 * WEEK, 50), calls(SINCE - WEEK, 99), calls(SINCE + HOUR, 1)]
    const hours = (begins: number) => keyOf(summaryOf(events, { begins }))?.unusualHours.count
    expect([hours(SINCE - 2.5 * WEEK), hours(SINCE - 3 * WEEK)]).toEqual([null, 1])
  })

  test('an hour that is rarely used counts as unusual, and its mean says how rarely', () => {
    const usual = Array.from({ length: 2000 }, (_, index) => eventOf({ time: at(SINCE - WEEK + 9 * HOUR + index) }))
    const rare = eventOf({ time: at(SINCE - 2 * WEEK + 3 * HOUR) })
    const result = summaryOf([...usual, rare, eventOf({ time: at(SINCE + 3 * HOUR) })])
    expect(keyOf(result)?.unusualHours).toEqual({
      count: 1,
      mean: 0.125,
      hours: [{ hour: 'Mon 03:00', calls: 1 }],
    })
  })

  test('tells when the last of the rotated keys that are still used ends', () => {
    const graces = [at(UNTIL), at(UNTIL + HOUR), at(UNTIL + 1)]
    const events = graces.map((graceEnds) => eventOf({ time: at(SINCE), actor: { graceEnds } }))
    const before = eventOf({ time: at(SINCE - 1), actor: { graceEnds: at(UNTIL + WEEK) } })
    expect(keyOf(summaryOf([...events, before]))?.rotated).toEqual({
      count: 3,
      mean: 0.125,
      graceEnds: at(UNTIL + HOUR),
    })
  })

  test('keeps callers without an identity, changes and the recorder apart from the keys', () => {
    const time = at(SINCE)
    const nobody = { kind: 'none', org: null, keyId: null } as const
    const result = summaryOf([
      eventOf({ time, actor: nobody, outcome: 'denied', reason: 'key_unknown', count: 30 }),
      eventOf({ time, actor: nobody }),
      eventOf({ time, kind: 'admin', name: 'key.rotate', actor: { ...nobody, by: 'anna' }, http: null, phi: null }),
      systemEvent('audit.started', time),
      systemEvent('audit.gap', time, { count: 5 }),
      systemEvent('audit.stopped', at(SINCE - 1)),
      systemEvent('audit.recovered', time),
      systemEvent('clock.jump', time),
      systemEvent('audit.checkpoint', time),
    ])
    expect(result).toMatchObject({
      keys: [],
      withoutIdentity: { calls: { count: 31 }, denials: [{ reason: 'key_unknown', count: 30, mean: 0 }] },
      changes: [{ name: 'key.rotate', count: 1 }],
      gaps: { count: 5 },
      starts: { count: 1 },
      stops: { count: 0, mean: 0.125 },
      recoveries: { count: 1 },
      clockJumps: { count: 1 },
    })
  })

  test('lists a key that has fallen silent, and tokens that name no key', () => {
    const result = summaryOf([
      eventOf({ time: at(SINCE - WEEK), actor: { keyId: 'key_old' } }),
      eventOf({ time: at(SINCE), actor: { kind: 'access-token', keyId: null, sub: 'user_1' } }),
    ])
    expect(result.keys.map(({ key, org, calls }) => [key, org, calls.count, calls.mean])).toEqual([
      [null, 'org_1', 1, 0],
      ['key_old', 'org_1', 0, 0.125],
    ])
  })
})

/** Another hand: every figure is counted anew, by going through all events for it. */
function recount(events: readonly AuditEvent[], key: string, periods: number) {
  const mine = events.filter(({ actor, kind }) => actor.keyId === key && (kind === 'access' || kind === 'auth'))
  const inPeriod = (period: number) => {
    const start = SINCE - period * WEEK
    return mine.filter(({ time }) => Date.parse(time) >= start && Date.parse(time) < start + WEEK)
  }
  const sum = (list: readonly AuditEvent[]) => list.reduce((total, { count }) => total + count, 0)
  const calls = (period: number) => inPeriod(period).filter(({ part }) => part === null)
  const figure = (of: (period: number) => number) => {
    let before = 0
    for (let period = 1; period <= periods; period += 1) before += of(period)
    return { count: of(0), mean: periods === 0 ? null : before / periods }
  }
  const served = (period: number) => inPeriod(period).filter(({ outcome }) => outcome !== 'denied')
  const addressesBefore = new Set(mine.filter(({ time }) => Date.parse(time) < SINCE).map(({ client }) => client.ip))
  const addresses = new Set(inPeriod(0).map(({ client }) => client.ip))
  return {
    calls: figure((period) => sum(calls(period))),
    bulk: figure((period) => sum(served(period).filter(({ part, phi }) => part === null && phi?.bulk === true))),
    patients: figure((period) => new Set(served(period).flatMap(({ phi }) => phi?.patients ?? [])).size),
    denied: figure((period) => sum(calls(period).filter(({ outcome }) => outcome === 'denied'))),
    scopeMissing: figure((period) => sum(calls(period).filter(({ reason }) => reason === 'scope_missing'))),
    rotated: figure((period) => sum(calls(period).filter(({ actor }) => actor.graceEnds !== null))),
    addresses: [...addresses].filter((ip) => !addressesBefore.has(ip)).length,
  }
}

const someEvent = fc
  .record({
    ms: fc.integer({ min: -8 * WEEK, max: WEEK - 1 }),
    key: fc.constantFrom('key_1', 'key_2', 'key_3'),
    outcome: fc.constantFrom<AuditEvent['outcome']>('success', 'denied', 'error', 'aborted'),
    patients: fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 4 }),
    ip: fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1'),
    bulk: fc.boolean(),
    grace: fc.boolean(),
    part: fc.boolean(),
    count: fc.integer({ min: 1, max: 5 }),
    reason: fc.constantFrom<AuditEvent['reason']>('scope_missing', 'ip_not_allowed'),
  })
  .map(({ ms, key, outcome, patients, ip, bulk, grace, part, count, reason }) =>
    eventOf({
      time: at(SINCE + ms),
      outcome,
      reason: outcome === 'denied' ? reason : null,
      actor: { keyId: key, graceEnds: grace ? at(UNTIL) : null },
      phi: { patients, bulk },
      client: { ip },
      count,
      part: part ? { n: 2, of_id: 'x' } : null,
    }),
  )

test('gives the figures that another count gives, in whatever order the events come', () => {
  fc.assert(
    fc.property(fc.array(someEvent, { maxLength: 60 }), fc.integer({ min: 0, max: 9 }), (events, weeks) => {
      const begins = SINCE - weeks * WEEK
      const present = events.filter(({ time }) => Date.parse(time) >= begins)
      const result = summaryOf(present, { begins })
      expect(result.periods).toBe(Math.min(8, weeks))
      for (const { key, denials, addressesFirstSeen, ...figures } of result.keys) {
        const counted = recount(present, key ?? '', result.periods)
        const none = { count: 0, mean: result.periods === 0 ? null : 0 }
        for (const name of ['calls', 'bulk', 'patients', 'denied', 'rotated'] as const) {
          expect(figures[name].count, name).toBe(counted[name].count)
          expectMean(figures[name].mean, counted[name].mean)
        }
        const missing = denials.find(({ reason }) => reason === 'scope_missing') ?? none
        expect(missing.count).toBe(counted.scopeMissing.count)
        expectMean(missing.mean, counted.scopeMissing.mean)
        expect(addressesFirstSeen.count).toBe(weeks === 0 ? null : counted.addresses)
      }
      expect(new Set(result.keys.map(({ key }) => key))).toEqual(new Set(present.map(({ actor }) => actor.keyId)))
      expect(summaryOf(present.toReversed(), { begins }).keys.map(withoutOrder)).toEqual(result.keys.map(withoutOrder))
    }),
    { numRuns: 300 },
  )
})

function expectMean(mean: number | null, counted: number | null): void {
  if (counted === null) expect(mean).toBeNull()
  else expect(mean).toBeCloseTo(counted, 3)
}

function withoutOrder(key: JournalSummary['keys'][number]) {
  const { addressesFirstSeen } = key
  return { ...key, addressesFirstSeen: { ...addressesFirstSeen, addresses: addressesFirstSeen.addresses.toSorted() } }
}
