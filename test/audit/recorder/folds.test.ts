import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AuditDraft, AuditHttp } from '../../../src/audit/event.ts'
import { createFolds, type Folds } from '../../../src/audit/recorder/folds.ts'
import { isRefusal } from '../../../src/audit/recorder/refusal.ts'
import type { Reason } from '../../../src/decision.ts'
import { draft, phi } from '../../fixtures/audit.ts'

const NOBODY = { kind: 'none', org: null, keyId: null, sub: null, jti: null, graceEnds: null, by: null } as const

/** A refusal of somebody unknown; `change` replaces whole members. */
function stranger(change: Partial<AuditDraft> = {}): AuditDraft {
  return draft({
    outcome: 'denied',
    reason: 'key_unknown',
    actor: { ...NOBODY, kind: 'api-key' },
    scopes: { granted: [], required: ['read:patients'] },
    http: http(),
    phi: null,
    ...change,
  })
}

function http(change: Partial<AuditHttp> = {}): AuditHttp {
  return { method: 'GET', route: '/v1/patients/:id', status: 401, query: ['_count'], bytes: 100, ...change }
}

const from = (ip: string | null): Partial<AuditDraft> => ({ client: { ip, via: 0 } })

function movedClock() {
  let ms = 5000
  return {
    now: () => 0,
    monotonicMs: () => ms,
    advance: (by: number) => {
      ms += by
    },
  }
}

function foldsOf(perSecond = 0) {
  const clock = movedClock()
  return { clock, folds: createFolds({ perSecond, clock }) }
}

function takeAll(folds: Folds, drafts: readonly AuditDraft[]): (AuditDraft | null)[] {
  return drafts.map((each) => folds.take(each))
}

const countOf = (drafts: readonly (AuditDraft | null)[]): number =>
  drafts.reduce((sum, each) => sum + (each?.count ?? 0), 0)

/** The one fold that these drafts make. */
function folded(...drafts: AuditDraft[]): AuditDraft {
  const { folds } = foldsOf()
  takeAll(folds, drafts)
  const [fold, ...rest] = folds.all()
  expect(rest).toEqual([])
  return fold ?? draft()
}

describe('a refusal is an event of its own', () => {
  test('within the budget of its second, which begins anew with the next', () => {
    const { folds, clock } = foldsOf(2)
    const call = stranger()
    expect(takeAll(folds, [call, call, call])).toEqual([call, call, null])
    clock.advance(999)
    expect(folds.take(call)).toBeNull()
    clock.advance(1)
    expect(takeAll(folds, [call, call, call])).toEqual([call, call, null])
  })

  test.each<[string, Partial<AuditDraft>]>([
    ['a key', { actor: { ...NOBODY, kind: 'api-key', keyId: 'key_1' } }],
    ['a subject', { actor: { ...NOBODY, kind: 'access-token', sub: 'user_1' } }],
    ['an organization', { actor: { ...NOBODY, kind: 'access-token', org: 'org_1' } }],
    ['an intent in the journal', { id: '01936000-0000-7000-8000-000000000000' }],
    ['an event that it continues', { part: { n: 2, of_id: '01936000-0000-7000-8000-000000000000' } }],
  ])('beyond it, too, where it has %s', (_, change) => {
    const { folds } = foldsOf(1)
    const known = stranger(change)
    expect(takeAll(folds, [stranger(), known, stranger(), known])).toEqual([stranger(), known, null, known])
    expect(countOf(folds.all())).toBe(1)
  })

  test('and uses the budget up for those that are nobody known', () => {
    const { folds } = foldsOf(1)
    const known = stranger({ actor: { ...NOBODY, keyId: 'key_1' } })
    expect(takeAll(folds, [known, stranger()])).toEqual([known, null])
  })
})

test.each<[Partial<AuditDraft>, boolean]>([
  [{ kind: 'access', reason: 'key_unknown' }, true],
  [{ kind: 'auth', reason: 'jwt_expired' }, true],
  [{ kind: 'access', outcome: 'error', reason: 'store_unavailable' }, true],
  [{ kind: 'access', outcome: 'success', reason: null }, false],
  [{ kind: 'access', outcome: 'error', reason: 'handler_error' }, false],
  [{ kind: 'access', outcome: 'aborted', reason: 'client_aborted' }, false],
  [{ kind: 'access', outcome: 'error', reason: 'not_found' }, false],
  [{ kind: 'access', outcome: 'interrupted', reason: 'process_interrupted' }, false],
  [{ kind: 'admin', name: 'key.revoke', outcome: 'error', reason: 'store_unavailable' }, false],
  [{ kind: 'system', name: 'audit.gap', outcome: 'error', reason: 'audit_unavailable' }, false],
])('%j is a refusal: %s, and nothing else is ever folded', (change, expected) => {
  const { folds } = foldsOf()
  const each = stranger(change)
  expect(isRefusal(each)).toBe(expected)
  expect(folds.take(each)).toBe(expected ? null : each)
})

describe('a fold stands for', () => {
  test.each<[string, Partial<AuditDraft>, Partial<AuditDraft>, (string | null)[]]>([
    ['one /24', from('203.0.113.7'), from('203.0.113.250'), ['203.0.113.0/24']],
    ['two /24', from('203.0.113.7'), from('203.0.114.7'), ['203.0.113.0/24', '203.0.114.0/24']],
    ['an IPv4-mapped address of it', from('203.0.113.7'), from('::ffff:203.0.113.9'), ['203.0.113.0/24']],
    ['one /64', from('2001:db8:1:2::1'), from('2001:db8:1:2:ffff::9'), ['2001:db8:1:2::/64']],
    ['two /64', from('2001:db8:1:2::1'), from('2001:db8:1:3::1'), ['2001:db8:1:2::/64', '2001:db8:1:3::/64']],
    ['unknown addresses', from(null), from(null), [null]],
    ['two reasons', { reason: 'key_unknown' }, { reason: 'key_malformed' }, ['203.0.113.0/24', '203.0.113.0/24']],
    ['two kinds', { kind: 'auth', name: 'verify' }, {}, ['203.0.113.0/24', '203.0.113.0/24']],
    [
      'two names of one kind',
      { kind: 'auth', name: 'verify' },
      { kind: 'auth', name: 'token.exchange' },
      ['203.0.113.0/24', '203.0.113.0/24'],
    ],
  ])('%s', (_, one, other, networks) => {
    const { folds } = foldsOf()
    takeAll(folds, [stranger(one), stranger(other)])
    const drafts = folds.all()
    expect(drafts.map(({ client }) => client.ip)).toEqual(networks)
    expect(countOf(drafts)).toBe(2)
  })

  test('its second alone; `due` gives it when that is over, `all` at once, and each but once', () => {
    const { folds, clock } = foldsOf()
    folds.take(stranger())
    clock.advance(999)
    folds.take(stranger())
    expect(folds.due()).toEqual([])
    clock.advance(1)
    expect(countOf(folds.due())).toBe(2)
    expect(folds.due()).toEqual([])
    folds.take(stranger())
    expect(countOf(folds.all())).toBe(1)
    expect(folds.all()).toEqual([])
    clock.advance(5000)
    expect(folds.due()).toEqual([])
  })
})

describe('a fold says', () => {
  test('of one call, what the call says, without what leads to the caller', () => {
    const call = stranger({ time: 7, durationMs: 3, phi: phi(), requestId: 'req_9', purpose: 'TREAT' })
    expect(folded(call)).toEqual({
      ...call,
      client: { ip: '203.0.113.0/24', via: 0 },
      http: http({ query: [] }),
      requestId: null,
      purpose: null,
      phi: phi({ patients: [], patientCount: null, resourceCount: null }),
      count: 1,
    })
  })

  test('how many calls it stands for, from the first on, and for how long the longest took', () => {
    const calls = [stranger({ time: 8, durationMs: 3 }), stranger({ time: 7, durationMs: 9 }), stranger({ count: 3 })]
    expect(folded(...calls)).toMatchObject({ time: 7, durationMs: 12.4, count: 5, http: { bytes: 300 } })
  })

  test.each<[string, Partial<AuditDraft>, Partial<AuditDraft>, Partial<AuditDraft>]>([
    [
      'route',
      { http: http() },
      { http: http({ route: '/v1/x' }) },
      { http: http({ route: '*', query: [], bytes: 200 }) },
    ],
    [
      'method',
      { http: http() },
      { http: http({ method: 'PUT' }) },
      { http: http({ method: '*', query: [], bytes: 200 }) },
    ],
    [
      'status',
      { http: http() },
      { http: http({ status: 403 }) },
      { http: http({ status: null, query: [], bytes: 200 }) },
    ],
    ['action', { action: 'R' }, { action: 'C' }, { action: null }],
    [
      'actor',
      { actor: { ...NOBODY, kind: 'api-key' } },
      { actor: { ...NOBODY, kind: 'access-token' } },
      { actor: NOBODY },
    ],
    [
      'scopes',
      { scopes: { granted: [], required: ['read:patients'] } },
      { scopes: { granted: [], required: ['exec:agents'] } },
      { scopes: { granted: [], required: [] } },
    ],
    [
      'proxies',
      { client: { ip: '203.0.113.7', via: 1 } },
      { client: { ip: '203.0.113.7', via: 2 } },
      { client: { ip: '203.0.113.0/24', via: 0 } },
    ],
    ['operation', { operation: 'a' }, { operation: 'b' }, { operation: null }],
    ['delivery', { delivered: 'full' }, { delivered: 'none' }, { delivered: null }],
    [
      'PHI',
      { phi: phi() },
      { phi: phi({ interaction: 'search-type', types: ['Observation'], bulk: true, attribution: 'scope' }) },
      {
        phi: {
          interaction: null,
          types: ['Patient', 'Observation'],
          patients: [],
          patientCount: null,
          resourceCount: null,
          bulk: true,
          attribution: 'none',
        },
      },
    ],
    ['PHI, where one has none', { phi: null }, { phi: phi({ patients: [] }) }, { phi: expect.anything() as never }],
  ])('what its calls have in common, and is silent where they differ: %s', (_, one, other, expected) => {
    expect(folded(stranger(one), stranger(other))).toMatchObject(expected)
    expect(folded(stranger(other), stranger(one), stranger(one))).toMatchObject(
      'http' in expected ? { http: { ...expected.http, bytes: 300 } } : 'phi' in expected ? {} : expected,
    )
    expect(folded(stranger(one), stranger(one))).not.toMatchObject(expected)
  })

  test('no more than 32 types', () => {
    const calls = Array.from({ length: 50 }, (_, index) => stranger({ phi: phi({ types: [`T${index}`, 'Patient'] }) }))
    expect(folded(...calls).phi?.types).toHaveLength(32)
  })

  test('nothing that a later call changes in what the first has handed over', () => {
    const first = stranger({ phi: phi() })
    const before = structuredClone(first)
    folded(first, stranger({ http: http({ route: '/x' }), phi: phi({ types: ['Group'] }) }))
    expect(first).toEqual(before)
  })
})

describe('a flood', () => {
  test('from many places makes 1,000 groups a second and one more for each reason', () => {
    const { folds, clock } = foldsOf()
    for (let place = 0; place < 1500; place += 1) {
      const ip = `10.${place >> 8}.${place & 255}.1`
      folds.take(stranger(from(ip)))
      folds.take(stranger({ ...from(ip), reason: 'key_malformed' }))
    }
    folds.take(stranger(from('10.0.0.9')))
    clock.advance(1000)
    const drafts = folds.due()
    expect(drafts).toHaveLength(1002)
    expect(drafts[0]).toMatchObject({ count: 2, client: { ip: '10.0.0.0/24' } })
    expect(drafts.slice(1000)).toMatchObject([
      { reason: 'key_unknown', count: 1000, client: { ip: null } },
      { reason: 'key_malformed', count: 1000, client: { ip: null } },
    ])
    folds.take(stranger(from('10.9.9.9')))
    expect(folds.all()).toMatchObject([{ count: 1, client: { ip: '10.9.9.0/24' } }])
  })

  test('of a million is counted to the last one, in the room of a thousand, whether or not anybody fetches', () => {
    const { folds, clock } = foldsOf(200)
    const call = stranger()
    let written = 0
    for (let each = 0; each < 1_000_000; each += 1) {
      const ip = `${1 + (each & 127)}.${(each >> 7) & 255}.${(each >> 15) & 255}.1`
      if (each % 250_000 === 0) clock.advance(1000)
      if (folds.take({ ...call, client: { ip, via: 0 } }) !== null) written += 1
    }
    const drafts = folds.all()
    expect([written, drafts.length]).toEqual([800, 1001])
    expect(written + countOf(drafts)).toBe(1_000_000)
  })
})

/** Worked out again, from texts. */
function networkOf(ip: string | null): string | null {
  if (ip === null) return null
  return ip.includes(':') ? ip.replace(/^((?:[^:]+:){4}).*$/, '$1:/64') : ip.replace(/\.\d+$/, '.0/24')
}

const anyCall = fc.record({
  ip: fc.constantFrom('192.0.2.1', '192.0.2.2', '198.51.100.1', '2001:db8:a:b:1:2:3:4', '2001:db8:a:c:1:2:3:4', null),
  reason: fc.constantFrom<Reason>('key_unknown', 'jwt_expired', 'https_required'),
  name: fc.constantFrom('request' as const, 'verify' as const, 'token.exchange' as const),
  known: fc.nat({ max: 9 }).map((each) => each === 0),
  count: fc.constantFrom(1, 1, 1, 4),
  afterMs: fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 60 }) }, { weight: 1, arbitrary: fc.nat({ max: 3000 }) }),
})

test('whatever comes, each call is counted once, in the group of its reason, name, place and second', () => {
  fc.assert(
    fc.property(fc.array(anyCall, { maxLength: 120 }), fc.nat({ max: 6 }), (calls, perSecond) => {
      const { folds, clock } = foldsOf(perSecond)
      const expected = new Map<string, number>()
      const seen = new Map<string, number>()
      const note = (drafts: readonly AuditDraft[], second: number): void => {
        for (const { reason, name, client, count } of drafts) {
          const key = [second, reason, name, client.ip].join(' ')
          seen.set(key, (seen.get(key) ?? 0) + count)
        }
      }
      let [second, used, alone] = [-1, 0, 0]
      for (const { ip, reason, name, known, count, afterMs } of calls) {
        clock.advance(afterMs)
        note(folds.due(), second)
        const now = Math.floor(clock.monotonicMs() / 1000)
        if (now !== second) used = 0
        second = now
        used += 1
        const actor = known ? { ...NOBODY, keyId: 'key_1' } : NOBODY
        const kind = name === 'request' ? 'access' : 'auth'
        const taken = folds.take(stranger({ ...from(ip), kind, name, reason, actor, count }))
        expect(taken !== null).toBe(known || used <= perSecond)
        if (taken === null) {
          const key = [second, reason, name, networkOf(ip)].join(' ')
          expected.set(key, (expected.get(key) ?? 0) + count)
        } else alone += count
      }
      note(folds.all(), second)
      expect(seen).toEqual(expected)
      const sum = [...seen.values()].reduce((total, each) => total + each, alone)
      expect(sum).toBe(calls.reduce((total, { count }) => total + count, 0))
    }),
    { numRuns: 300 },
  )
})
