import { randomBytes } from 'node:crypto'
import { BlockList, isIPv6 } from 'node:net'
import * as fc from 'fast-check'
import { expect } from 'vitest'
import { KeyStateError } from '../../src/errors.ts'
import type { KeyRecord, KeyStore } from '../../src/keys/store.ts'
import type { KeyVerifier } from '../../src/keys/verifier.ts'
import type { Scope } from '../../src/scopes.ts'
import { administered, DAY, manualClock, verifierOf } from './parts.ts'

type Change =
  | { readonly do: 'rotate'; readonly graceSeconds: number }
  | { readonly do: 'revoke' }
  | { readonly do: 'update'; readonly scopes: readonly Scope[]; readonly allowedCidrs: readonly string[] }
  | { readonly do: 'use' }

type Step =
  | { readonly do: 'create'; readonly livesMs: number | null }
  | { readonly do: 'verify'; readonly at: number }
  | { readonly do: 'change'; readonly at: number; readonly change: Change }
  | { readonly do: 'changeDuringVerify'; readonly at: number; readonly change: Change }
  | { readonly do: 'both'; readonly at: number; readonly changes: readonly [Change, Change] }
  | { readonly do: 'advance'; readonly ms: number }

/** One key as the documents promise it. */
interface Modelled {
  readonly key: string
  readonly id: string
  readonly expiresAt: number | null
  scopes: readonly string[]
  allowedCidrs: readonly string[]
  validUntil: number | null
  replacedBy: string | null
  revokedReason: string | null
  used: boolean
}

const SCOPES: readonly (readonly Scope[])[] = [[], ['read:patients'], ['admin:org', 'read:observations']]
const ALLOWLISTS: readonly (readonly string[])[] = [[], ['10.0.0.0/8'], ['10.1.0.0/16', '2001:db8::/32']]
/** Which of them a key may be used from. */
const ADDRESSES = ['10.0.0.7', '10.1.0.7', '192.0.2.7', '2001:db8::7']
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ do: fc.constant('rotate'), graceSeconds: fc.constantFrom(0, 1, 86_400) }),
  fc.record({ do: fc.constant('revoke') }),
  fc.record({
    do: fc.constant('update'),
    scopes: fc.constantFrom(...SCOPES),
    allowedCidrs: fc.constantFrom(...ALLOWLISTS),
  }),
  fc.record({ do: fc.constant('use') }),
)
const at = fc.nat({ max: 5 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('create'), livesMs: fc.constantFrom(null, 1000, DAY) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('verify'), at }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('change', 'changeDuringVerify'), at, change }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('both'), at, changes: fc.tuple(change, change) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('advance'), ms: fc.constantFrom(1, 999, 29_999, DAY - 1000, DAY) }),
  },
)

/**
 * Every change of keys, one after another, two at the same time, and during verifications, against what the documents say of
 * it: the instance that makes a change answers by it from then on, whether its store has a feed or not, and so does one that
 * asks the store each time. The store is opened once, and closed; each run has an organization of its own in it.
 */
export async function mutationModel(
  openStore: () => KeyStore | Promise<KeyStore>,
  { numRuns = 100, maxSteps = 25 }: { numRuns?: number; maxSteps?: number } = {},
): Promise<void> {
  const store = await openStore()
  const steps = fc.array(step, { minLength: 5, maxLength: maxSteps })
  try {
    await fc.assert(
      fc.asyncProperty(steps, fc.boolean(), (each, feed) => run(store, feed, each)),
      { numRuns },
    )
  } finally {
    await store.close?.()
  }
}

async function run(opened: KeyStore, feed: boolean, steps: readonly Step[]): Promise<void> {
  const can = { ...opened.can, watch: feed && opened.can.watch }
  const world = createWorld({ ...opened, can, close: async () => undefined })
  for (const each of [{ do: 'create', livesMs: null } as const, ...steps]) await world.take(each)
  await world.end()
}

function createWorld(store: KeyStore) {
  const organizationId = `org_${randomBytes(8).toString('hex')}`
  const clock = manualClock()
  const { keys, verifier: here, changes } = administered({ store, clock, timeoutMs: 5000 })
  const asking = verifierOf(store, { clock, timeoutMs: 5000, cacheSeconds: 0, missCacheSeconds: 0 })
  const model: Modelled[] = []
  let changed = 0

  const add = (key: string, record: KeyRecord) =>
    model.push({
      key,
      id: record.id,
      scopes: record.scopes,
      allowedCidrs: record.allowedCidrs,
      expiresAt: record.expiresAt?.getTime() ?? null,
      validUntil: null,
      replacedBy: null,
      revokedReason: null,
      used: false,
    })
  const check = async (each: Modelled) => {
    const expected = promised(each, clock.now())
    expect([await answer(here, each.key), await answer(asking, each.key)]).toEqual([expected, expected])
  }
  /** Makes it; gives the code of a refusal, or null. */
  const make = async (each: Modelled, what: Change): Promise<string | null> => {
    try {
      if (what.do === 'use') {
        await store.update(each.id, { lastUsedAt: new Date(clock.now()) })
        each.used = true
      } else if (what.do === 'revoke') {
        const isFirst = each.revokedReason === null
        const reason = `reason ${changed}`
        const { record } = await keys.revoke(each.id, { by: 'model', reason })
        if (isFirst) each.revokedReason = record.revokedReason
        expect(record.revokedReason).toBe(each.revokedReason)
      } else if (what.do === 'update') {
        const { scopes, allowedCidrs } = what
        const { record } = await keys.update(each.id, { by: 'model', scopes, allowedCidrs })
        expect([record.scopes, record.allowedCidrs]).toEqual([scopes, allowedCidrs])
        Object.assign(each, { scopes, allowedCidrs })
      } else {
        const end = clock.now() + what.graceSeconds * 1000
        const fresh = await keys.rotate(each.id, { by: 'model', graceSeconds: what.graceSeconds })
        add(fresh.key, fresh.record)
        Object.assign(each, { validUntil: end, replacedBy: fresh.record.id })
        expect(fresh.record.expiresAt?.getTime() ?? null).toBe(each.expiresAt)
      }
      return null
    } catch (error) {
      if (error instanceof KeyStateError) return error.code
      throw error
    }
  }
  const one = async (each: Modelled, what: Change) => {
    const expected = refusal(each, what, clock.now())
    const told = tells(each, what) && expected === null ? 1 : 0
    const { scopes, allowedCidrs } = each
    expect(await make(each, what)).toBe(expected)
    if (what.do === 'rotate' && expected === null) expect(model.at(-1)).toMatchObject({ scopes, allowedCidrs })
    changed += told
    expect(changes.length).toBe(changed)
  }
  /** Which comes first is the store's affair; what comes of it is one of the two orders. */
  const both = async (each: Modelled, [first, second]: readonly [Change, Change]) => {
    const [before, now] = [{ ...each }, clock.now()]
    const refusals = await Promise.all([make(each, first), make(each, second)])
    const orders = [
      [refusal(before, first, now), refusal(after(before, first), second, now)],
      [refusal(after(before, second), first, now), refusal(before, second, now)],
      // Neither saw the other: allowed unless both rotate.
      first.do === 'rotate' && second.do === 'rotate'
        ? []
        : [refusal(before, first, now), refusal(before, second, now)],
    ]
    expect(orders).toContainEqual(refusals)
    const record = await keys.get(each.id)
    expect(record).toMatchObject({ replacedBy: each.replacedBy })
    expect(record?.revokedAt === null).toBe(each.revokedReason === null)
    // Of two updates, and of two revocations, the store keeps one.
    each.scopes = record?.scopes ?? []
    each.allowedCidrs = record?.allowedCidrs ?? []
    each.revokedReason = record?.revokedReason ?? null
    changed = changes.length
  }

  const take = async (next: Step): Promise<void> => {
    if (next.do === 'advance') return clock.advance(next.ms)
    if (next.do === 'create') {
      const expiresAt = next.livesMs === null ? null : new Date(clock.now() + next.livesMs)
      const request = {
        organizationId,
        environment: 'live',
        name: 'model',
        scopes: ['read:patients'],
        by: 'model',
      } as const
      const { key, record } = await keys.create({ ...request, expiresAt })
      changed += 1
      return void add(key, record)
    }
    const each = model[next.at % model.length]
    if (each === undefined) return
    const [before, now] = [promised(each, clock.now()), clock.now()]
    const during = next.do === 'changeDuringVerify' ? [answer(here, each.key), answer(asking, each.key)] : []
    if (next.do === 'both') await both(each, next.changes)
    else if (next.do !== 'verify') await one(each, next.change)
    for (const found of await Promise.all(during)) expect([before, promised(each, now)]).toContain(found)
    await check(each)
    if (model.at(-1) !== undefined) await check(model.at(-1) ?? each)
  }

  return {
    take,
    end: async () => {
      for (const each of model) await check(each)
      const records = await keys.list({ organizationId, limit: 1000 })
      const seen = records.map(({ id, scopes, validUntil, replacedBy, revokedReason }) => [
        id,
        scopes,
        validUntil?.getTime() ?? null,
        replacedBy,
        revokedReason,
      ])
      const meant = model.map((each) => [each.id, each.scopes, each.validUntil, each.replacedBy, each.revokedReason])
      const byId = (list: unknown[][]) => list.toSorted((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1))
      expect(byId(seen)).toEqual(byId(meant))
      const used = new Set(records.filter(({ lastUsedAt }) => lastUsedAt !== null).map(({ id }) => id))
      for (const each of model) if (each.used) expect(used).toContain(each.id)
      await Promise.all([here.close(), asking.close()])
    },
  }
}

async function answer(verifier: KeyVerifier, key: string): Promise<string> {
  const found = await verifier.verify(key, null)
  if (!found.ok) return found.reason
  const from = ADDRESSES.filter((address) => found.allowlist?.holds(address) ?? true)
  return `ok ${[...found.scopes].join(' ')} from ${from.join(' ')}`
}

function promised(each: Modelled, now: number): string {
  if (each.revokedReason !== null) return 'key_revoked'
  if (each.expiresAt !== null && now >= each.expiresAt) return 'key_expired'
  if (each.validUntil !== null && now >= each.validUntil) return 'key_rotated_out'
  return `ok ${each.scopes.join(' ')} from ${allowed(each.allowedCidrs).join(' ')}`
}

/** By `net.BlockList`. */
function allowed(cidrs: readonly string[]): readonly string[] {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [network = '', prefix] = cidr.split('/')
    list.addSubnet(network, Number(prefix), isIPv6(network) ? 'ipv6' : 'ipv4')
  }
  return ADDRESSES.filter((each) => cidrs.length === 0 || list.check(each, isIPv6(each) ? 'ipv6' : 'ipv4'))
}

/** The code with which a change is refused, or null. */
function refusal(each: Modelled, what: Change, now: number): string | null {
  if (what.do === 'use' || what.do === 'revoke') return null
  if (each.revokedReason !== null) return 'KEY_REVOKED'
  if (what.do === 'update') return null
  if (each.expiresAt !== null && now >= each.expiresAt) return 'KEY_EXPIRED'
  return each.replacedBy === null ? null : 'KEY_REPLACED'
}

function after(each: Modelled, what: Change): Modelled {
  return {
    ...each,
    revokedReason: what.do === 'revoke' ? 'revoked' : each.revokedReason,
    replacedBy: what.do === 'rotate' ? 'key_fresh' : each.replacedBy,
  }
}

/** Whether it is an audit event. */
function tells(each: Modelled, what: Change): boolean {
  return what.do !== 'use' && (what.do !== 'revoke' || each.revokedReason === null)
}
