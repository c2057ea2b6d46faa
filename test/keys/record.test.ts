import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { checkRecord, statusAt } from '../../src/keys/record.ts'
import type { KeyRecord } from '../../src/keys/store.ts'
import { DAY, newKey, polluted, recordOf, START } from './parts.ts'

const GOOD = recordOf(newKey(), { id: 'key_good' })
const at = (ms: number) => new Date(START + ms)

/** A list of two whose second member is missing. */
function holey(): string[] {
  const list = ['read:patients']
  list.length = 2
  return list
}

describe('the status of a key', () => {
  const rows: [string, Partial<KeyRecord>, number, string][] = [
    ['never ends', {}, 0, 'active'],
    ['one millisecond before its expiry', { expiresAt: at(1000) }, 999, 'active'],
    ['at its expiry', { expiresAt: at(1000) }, 1000, 'expired'],
    ['just rotated', { validUntil: at(DAY) }, 0, 'grace'],
    ['24 hours after its rotation less a millisecond', { validUntil: at(DAY) }, DAY - 1, 'grace'],
    ['24 hours after its rotation', { validUntil: at(DAY) }, DAY, 'rotated_out'],
    ['rotated without grace', { validUntil: at(0) }, 0, 'rotated_out'],
    ['rotated, and expired before the grace ends', { validUntil: at(DAY), expiresAt: at(1000) }, 1000, 'expired'],
    ['revoked', { revokedAt: at(-1) }, 0, 'revoked'],
    ['revoked at a time to come', { revokedAt: at(DAY) }, 0, 'revoked'],
    ['revoked, expired and rotated out', { revokedAt: at(0), expiresAt: at(0), validUntil: at(0) }, 1, 'revoked'],
    ['read with a clock that gives no number', { expiresAt: at(DAY) }, Number.NaN, 'expired'],
  ]
  test.each(rows)('%s', (_, more, now, status) => {
    expect(statusAt({ ...GOOD, ...more }, START + now)).toBe(status)
  })
})

describe('a record is broken', () => {
  const without = (name: keyof KeyRecord) => Object.fromEntries(Object.entries(GOOD).filter(([each]) => each !== name))
  test.each(Object.keys(GOOD) as (keyof KeyRecord)[])('without %s', (name) => {
    expect(checkRecord(GOOD)).not.toBeNull()
    expect(checkRecord(without(name))).toBeNull()
    expect(checkRecord({ ...GOOD, [name]: undefined })).toBeNull()
    expect(checkRecord(Object.assign(Object.create({ [name]: GOOD[name] }), without(name)))).toBeNull()
    expect(checkRecord(JSON.parse(`{ "__proto__": ${JSON.stringify(GOOD)} }`))).toBeNull()
  })

  const rows: [string, unknown][] = [
    ['nothing', undefined],
    ['a text', 'key_1'],
    ['a list', [GOOD]],
    ['a function', () => GOOD],
    ['a promise of a record', Promise.resolve(GOOD)],
    ['an id with a dash', { ...GOOD, id: 'key_a-b' }],
    ['an id of another kind', { ...GOOD, id: 'usr_1' }],
    ['an empty id', { ...GOOD, id: 'key_' }],
    ['an id with a line feed', { ...GOOD, id: 'key_1\n' }],
    ['an id of 65 characters', { ...GOOD, id: `key_${'a'.repeat(65)}` }],
    ['an empty organization', { ...GOOD, organizationId: '' }],
    ['no organization', { ...GOOD, organizationId: null }],
    ['a number as organization', { ...GOOD, organizationId: 1 }],
    ['another environment', { ...GOOD, environment: 'LIVE' }],
    ['scopes as a text', { ...GOOD, scopes: 'read:patients' }],
    ['scopes as an object', { ...GOOD, scopes: { 0: 'read:patients', length: 1 } }],
    ['scopes as a set', { ...GOOD, scopes: new Set(['read:patients']) }],
    ['a scope that is no text', { ...GOOD, scopes: ['read:patients', 1] }],
    ['a scope that is a list', { ...GOOD, scopes: [['admin:org']] }],
    ['a hole in the scopes', { ...GOOD, scopes: holey() }],
    ['no scopes', { ...GOOD, scopes: null }],
    ['a digest without pepper', { ...GOOD, digest: 'a'.repeat(43) }],
    ['a digest that is too short', { ...GOOD, digest: `sha256:${'a'.repeat(42)}` }],
    ['a digest in base64', { ...GOOD, digest: `sha256:${'a'.repeat(42)}+` }],
    ['a rule that is no block', { ...GOOD, allowedCidrs: ['10.0.0.0/33'] }],
    ['a rule that is no text', { ...GOOD, allowedCidrs: [null] }],
    ['rules as a text', { ...GOOD, allowedCidrs: '10.0.0.0/8' }],
    ['a date as a text', { ...GOOD, createdAt: '2026-03-18T12:00:00Z' }],
    ['a date as a number', { ...GOOD, expiresAt: START }],
    ['an invalid date', { ...GOOD, validUntil: new Date(Number.NaN) }],
    ['a false date', { ...GOOD, revokedAt: Object.create(Date.prototype) }],
    ['a revocation that is false', { ...GOOD, revokedAt: false }],
    ['an expiry of 0', { ...GOOD, expiresAt: 0 }],
    ['a successor without form', { ...GOOD, replacedBy: '' }],
    [
      'a getter that throws',
      Object.defineProperty({ ...GOOD }, 'scopes', {
        get: () => {
          throw new Error('no')
        },
      }),
    ],
    [
      'a proxy that throws',
      new Proxy(GOOD, {
        getOwnPropertyDescriptor: () => {
          throw new Error('no')
        },
      }),
    ],
  ]
  test.each(rows)('%s', (_, value) => {
    expect(checkRecord(value)).toBeNull()
  })
})

describe('a checked record', () => {
  test('is a frozen copy that nothing changes afterwards', () => {
    const source = { ...GOOD, scopes: ['read:patients'], allowedCidrs: ['10.0.0.0/8'], expiresAt: at(1000) }
    const record = checkRecord(source)
    source.scopes.push('admin:org')
    source.allowedCidrs.length = 0
    source.expiresAt.setTime(START + DAY)
    expect(record).toEqual({ ...GOOD, scopes: ['read:patients'], allowedCidrs: ['10.0.0.0/8'], expiresAt: at(1000) })
    expect(Object.isFrozen(record) && Object.isFrozen(record?.scopes) && Object.isFrozen(record?.allowedCidrs)).toBe(
      true,
    )
  })

  test('reads each member once, so that it cannot be another when it is used', () => {
    let reads = 0
    const source = Object.defineProperty({ ...GOOD }, 'organizationId', {
      get: () => `org_${(reads += 1)}`,
      enumerable: true,
    })
    expect(checkRecord(source)?.organizationId).toBe('org_1')
    expect(reads).toBe(1)
  })

  test('has no member that the record does not have', () => {
    const record = checkRecord({ ...GOOD, admin: true, ['__proto__']: { scopes: ['admin:org'] } })
    expect(Object.keys(record ?? {}).toSorted()).toEqual(Object.keys(GOOD).toSorted())
    expect(Object.getPrototypeOf(record)).toBe(Object.prototype)
  })

  test('may hold dates of another realm', () => {
    const expiresAt: unknown = runInNewContext(`new Date(${START})`)
    expect(expiresAt instanceof Date).toBe(false)
    expect(checkRecord({ ...GOOD, expiresAt })?.expiresAt).toEqual(at(0))
  })

  test('is null where only the polluted prototype of everything has the members', async () => {
    expect(await polluted({ ...GOOD }, () => checkRecord({}))).toBeNull()
    expect(await polluted({ scopes: ['admin:org'] }, () => checkRecord({ ...GOOD })?.scopes)).toEqual(['read:patients'])
    expect(await polluted({ 1: 'admin:org' }, () => checkRecord({ ...GOOD, scopes: holey() }))).toBeNull()
  })
})
