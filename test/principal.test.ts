import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { createIdentity, type IdentityFacts, type Principal } from '../src/principal.ts'

const EXPIRES = Date.UTC(2030, 0, 1)
const GRACE = Date.UTC(2029, 0, 1)

function factsOf(more: Partial<IdentityFacts> = {}): IdentityFacts {
  return {
    kind: 'api-key',
    organizationId: 'org_1',
    subject: 'key_1',
    keyId: 'key_1',
    tokenId: null,
    environment: 'live',
    scopes: new Set(['read:patients', 'exec:agents']),
    expiresAt: EXPIRES,
    graceEnds: GRACE,
    allowlist: { holds: () => true },
    ...more,
  }
}

describe('a principal', () => {
  test('shows what the contract names, and nothing else', () => {
    const { principal } = createIdentity(factsOf())
    expect(JSON.parse(JSON.stringify(principal))).toEqual({
      kind: 'api-key',
      organizationId: 'org_1',
      subject: 'key_1',
      keyId: 'key_1',
      tokenId: null,
      environment: 'live',
      scopes: ['read:patients', 'exec:agents'],
      expiresAt: '2030-01-01T00:00:00.000Z',
      rotation: { validUntil: '2029-01-01T00:00:00.000Z' },
    })
    expect(Object.getOwnPropertyNames(principal).toSorted()).toEqual([
      'environment',
      'expiresAt',
      'keyId',
      'kind',
      'organizationId',
      'rotation',
      'scopes',
      'subject',
      'tokenId',
    ])
  })

  test('of a key that never expires and is not rotated holds null', () => {
    const { principal } = createIdentity(factsOf({ expiresAt: null, graceEnds: null }))
    expect([principal.expiresAt, principal.rotation]).toEqual([null, null])
  })

  test('of a token that names no key', () => {
    const { principal } = createIdentity(
      factsOf({ kind: 'access-token', subject: 'user_1', keyId: null, tokenId: null, graceEnds: null }),
    )
    expect([principal.kind, principal.subject, principal.keyId, principal.tokenId]).toEqual([
      'access-token',
      'user_1',
      null,
      null,
    ])
  })

  test('is the same object at each read, and another for another identity', () => {
    const [one, other] = [createIdentity(factsOf()), createIdentity(factsOf())]
    expect(one.principal).toBe(one.principal)
    expect(one.principal).not.toBe(other.principal)
  })

  test('is shown by inspect as names of scopes', () => {
    expect(inspect(createIdentity(factsOf()).principal.scopes)).toBe('ScopeSet { read:patients, exec:agents }')
  })
})

describe('its scopes', () => {
  const { scopes } = createIdentity(factsOf()).principal

  test('read like a set', () => {
    expect(scopes.size).toBe(2)
    expect([...scopes]).toEqual(['read:patients', 'exec:agents'])
    expect([...scopes.values()]).toEqual(['read:patients', 'exec:agents'])
    expect(scopes.toJSON()).toEqual(['read:patients', 'exec:agents'])
    expect([scopes.has('read:patients'), scopes.has('admin:org')]).toEqual([true, false])
  })

  test.each(['add', 'delete', 'clear'] as const)('are no Set, so that Set.prototype.%s throws', (name) => {
    expect(scopes).not.toBeInstanceOf(Set)
    expect(() => Reflect.apply(Set.prototype[name], scopes, ['read:patients'])).toThrow(TypeError)
    expect(scopes.has('read:patients')).toBe(true)
  })

  test('are not changed by what is done to what they gave', () => {
    scopes.toJSON().push('admin:org')
    expect([scopes.size, scopes.has('admin:org'), [...scopes]]).toEqual([2, false, ['read:patients', 'exec:agents']])
  })
})

/** Each change is tried on the principal and on what it holds; strict code throws, and nothing is changed in any case. */
const ATTEMPTS: readonly (readonly [string, (principal: Principal) => unknown])[] = [
  ['assignment', (principal) => Object.assign(principal, { organizationId: 'org_2' })],
  ['assignment to a date', (principal) => Object.assign(principal, { expiresAt: null })],
  ['a new member', (principal) => Object.assign(principal, { admin: true })],
  ['deletion', (principal) => mustDelete(principal, 'organizationId')],
  ['defineProperty', (principal) => Object.defineProperty(principal, 'organizationId', { value: 'org_2' })],
  ['another prototype', (principal) => Object.setPrototypeOf(principal, { organizationId: 'org_2' })],
  ['another has', (principal) => Object.assign(principal.scopes, { has: () => true })],
  [
    'defineProperty on the scopes',
    (principal) => Object.defineProperty(principal.scopes, 'has', { value: () => true }),
  ],
  ['another prototype of the scopes', (principal) => Object.setPrototypeOf(principal.scopes, Set.prototype)],
  ['another rotation deadline', (principal) => Object.assign(principal.rotation ?? {}, { validUntil: new Date(0) })],
]

function mustDelete(target: object, name: string): void {
  if (!Reflect.deleteProperty(target, name)) throw new TypeError('cannot delete')
}

describe('nothing changes a principal:', () => {
  test.each(ATTEMPTS)('%s', (_what, attempt) => {
    const identity = createIdentity(factsOf())
    const before = JSON.stringify(identity.principal)
    expect(() => attempt(identity.principal)).toThrow(TypeError)
    expect(JSON.stringify(identity.principal)).toBe(before)
    expect(identity.principal.scopes.has('admin:org')).toBe(false)
    expect([identity.organizationId, identity.scopes.has('admin:org'), identity.expiresAt]).toEqual([
      'org_1',
      false,
      EXPIRES,
    ])
  })

  test('nor do the dates that it gives, which are new at each read', () => {
    const identity = createIdentity(factsOf())
    identity.principal.expiresAt?.setTime(0)
    identity.principal.rotation?.validUntil.setTime(0)
    expect(identity.principal.expiresAt?.getTime()).toBe(EXPIRES)
    expect(identity.principal.rotation?.validUntil.getTime()).toBe(GRACE)
    expect([identity.expiresAt, identity.graceEnds]).toEqual([EXPIRES, GRACE])
  })
})

describe('an identity', () => {
  test('cannot be changed, and inherits nothing from Object.prototype', () => {
    const identity = createIdentity(factsOf())
    expect(() => Object.assign(identity, { organizationId: 'org_2' })).toThrow(TypeError)
    expect('toString' in identity).toBe(false)
  })
})
