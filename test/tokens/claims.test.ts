import { describe, expect, test } from 'vitest'
import { createClaimsReader } from '../../src/tokens/claims.ts'
import { parseObject } from '../../src/tokens/json-object.ts'
import type { TokenSettings } from '../../src/tokens/settings.ts'
import { scopeCatalogue } from '../../src/scopes.ts'
import { AUDIENCE, goodClaims, ISSUER, NOW, tokenSettings } from './token-world.ts'

const SETTINGS = tokenSettings([])
const OWN_NAMES: Partial<TokenSettings> = {
  claims: { organization: 'https://issuer.example/org', environment: 'stage', scope: 'scp', issuingKey: 'azp' },
}

const readText = (text: string, settings = SETTINGS) =>
  createClaimsReader(settings, scopeCatalogue({})).read(parseObject(text) ?? {}, NOW * 1000)
const read = (more: object, settings = SETTINGS) => readText(JSON.stringify(goodClaims(more)), settings)
const without = (name: string) => read({ [name]: undefined })

describe('claims', () => {
  test('are read, the named ones and no others', () => {
    const claims = read({ jti: 'tok_1', client_id: 'key_1', nbf: NOW, email: 'x', admin: true, allowlist: null })
    expect(claims).toEqual({
      subject: 'user_1',
      organization: 'org_1',
      environment: 'live',
      scopes: new Set(['read:patients', 'exec:agents']),
      expires: NOW + 3600,
      notBefore: NOW,
      tokenId: 'tok_1',
      issuedTo: 'key_1',
    })
  })

  test('may leave out jti, client_id and nbf', () => {
    expect(read({})).toMatchObject({ tokenId: null, issuedTo: null, notBefore: null })
  })

  test('are read under the names that are configured', () => {
    const claims = { 'https://issuer.example/org': 'org_2', stage: 'test', scp: ['read:patients'], azp: 'key_2' }
    expect(read({ ...claims, org: 'org_1', scope: 'admin:org' }, tokenSettings([], OWN_NAMES))).toMatchObject({
      organization: 'org_2',
      environment: 'test',
      scopes: new Set(['read:patients']),
      issuedTo: 'key_2',
    })
  })

  test.each<[name: string, more: object]>([
    ['aud as a list with ours', { aud: ['https://other.example', AUDIENCE] }],
    ['exp 29 seconds ago', { iat: NOW - 3000, exp: NOW - 29 }],
    ['iat 30 seconds ahead', { iat: NOW + 30 }],
    ['nbf 30 seconds ahead', { nbf: NOW + 30 }],
    ['nbf in the past', { nbf: 0 }],
    ['the longest lifetime', { iat: NOW - 10, exp: NOW + 3590 }],
    ['an empty scope', { scope: '' }],
    ['an empty list of scopes', { scope: [] }],
    ['a list of scopes', { scope: ['read:patients', 'made:up'] }],
    ['the names of built-in members as scopes', { scope: '__proto__ constructor' }],
    ['names of 256 characters', { sub: 's'.repeat(256), org: 'o'.repeat(256), jti: 'j'.repeat(256) }],
  ])('with %s are good', (_name, more) => {
    expect(read(more)).toBeTypeOf('object')
  })

  test.each<[name: string, more: object, reason: string]>([
    ['a slash behind the issuer', { iss: `${ISSUER}/` }, 'jwt_issuer'],
    ['the issuer in capitals', { iss: ISSUER.toUpperCase() }, 'jwt_issuer'],
    ['a look-alike issuer', { iss: 'https://issuer.ехample' }, 'jwt_issuer'],
    ['the issuer and more behind', { iss: `${ISSUER}.evil.example` }, 'jwt_issuer'],
    ['the issuer in a list', { iss: [ISSUER] }, 'jwt_issuer'],
    ['no issuer', { iss: undefined }, 'jwt_issuer'],
    ['another audience', { aud: 'https://other.example' }, 'jwt_audience'],
    ['a slash behind the audience', { aud: `${AUDIENCE}/` }, 'jwt_audience'],
    ['a list without our audience', { aud: ['https://other.example'] }, 'jwt_audience'],
    ['an empty list of audiences', { aud: [] }, 'jwt_audience'],
    ['a list of audiences with a number in it', { aud: [AUDIENCE, 1] }, 'jwt_audience'],
    ['our audience in a list in a list', { aud: [[AUDIENCE]] }, 'jwt_audience'],
    ['an audience that is an object', { aud: { 0: AUDIENCE } }, 'jwt_audience'],
    ['no audience', { aud: undefined }, 'jwt_audience'],
    ['exp 30 seconds ago', { iat: NOW - 3000, exp: NOW - 30 }, 'jwt_expired'],
    ['exp 0', { iat: 0, exp: 0 }, 'jwt_expired'],
    ['iat 31 seconds ahead', { iat: NOW + 31 }, 'jwt_not_yet_valid'],
    ['nbf 31 seconds ahead', { nbf: NOW + 31 }, 'jwt_not_yet_valid'],
    ['a lifetime of a second too much', { exp: NOW + 3601 }, 'jwt_lifetime'],
    ['exp in the year 275760', { exp: 8_640_000_000_000 }, 'jwt_lifetime'],
    ['exp 2 ** 53 - 1', { exp: Number.MAX_SAFE_INTEGER }, 'jwt_lifetime'],
    ['exp 2 ** 53', { exp: 2 ** 53 }, 'jwt_claims'],
    ['exp as a string', { exp: String(NOW + 60) }, 'jwt_claims'],
    ['exp with a fraction', { exp: NOW + 60.5 }, 'jwt_claims'],
    ['exp negative', { exp: -1 }, 'jwt_claims'],
    ['exp 1e300', { exp: 1e300 }, 'jwt_claims'],
    ['exp null', { exp: null }, 'jwt_claims'],
    ['exp as a list', { exp: [NOW + 60] }, 'jwt_claims'],
    ['exp true', { exp: true }, 'jwt_claims'],
    ['iat as a string', { iat: String(NOW) }, 'jwt_claims'],
    ['iat null', { iat: null }, 'jwt_claims'],
    ['iat negative', { iat: -1 }, 'jwt_claims'],
    ['nbf as a string', { nbf: String(NOW) }, 'jwt_claims'],
    ['nbf null', { nbf: null }, 'jwt_claims'],
    ['nbf with a fraction', { nbf: NOW - 0.5 }, 'jwt_claims'],
    ['an empty sub', { sub: '' }, 'jwt_claims'],
    ['sub as a number', { sub: 1 }, 'jwt_claims'],
    ['a sub of 257 characters', { sub: 's'.repeat(257) }, 'jwt_claims'],
    ['org as an object', { org: { toString: 'org_1' } }, 'jwt_claims'],
    ['an empty org', { org: '' }, 'jwt_claims'],
    ['env in capitals', { env: 'LIVE' }, 'jwt_claims'],
    ['env as a list', { env: ['live'] }, 'jwt_claims'],
    ['another env', { env: 'production' }, 'jwt_claims'],
    ['an empty jti', { jti: '' }, 'jwt_claims'],
    ['jti null', { jti: null }, 'jwt_claims'],
    ['jti as a number', { jti: 7 }, 'jwt_claims'],
    ['a jti of 257 characters', { jti: 'j'.repeat(257) }, 'jwt_claims'],
    ['an empty client_id', { client_id: '' }, 'jwt_claims'],
    ['client_id as a list', { client_id: ['key_1'] }, 'jwt_claims'],
    ['scope null', { scope: null }, 'jwt_claims'],
    ['scope as a number', { scope: 1 }, 'jwt_claims'],
    ['scope as an object', { scope: { 0: 'read:patients' } }, 'jwt_claims'],
    ['scope as a list of numbers', { scope: [1] }, 'jwt_claims'],
    ['scope as a list in a list', { scope: [['read:patients']] }, 'jwt_claims'],
    ['a list with two scopes in one string', { scope: ['read:patients exec:agents'] }, 'jwt_claims'],
    ['a list with an empty scope', { scope: [''] }, 'jwt_claims'],
    ['two spaces in scope', { scope: 'read:patients  exec:agents' }, 'jwt_claims'],
    ['a space before scope', { scope: ' read:patients' }, 'jwt_claims'],
    ['a space behind scope', { scope: 'read:patients ' }, 'jwt_claims'],
    ['a tab in scope', { scope: 'read:patients\texec:agents' }, 'jwt_claims'],
    ['a line feed in scope', { scope: 'read:patients\n' }, 'jwt_claims'],
    ['a quotation mark in scope', { scope: '"read:patients"' }, 'jwt_claims'],
    ['a backslash in scope', { scope: 'read\\patients' }, 'jwt_claims'],
    ['a letter beyond ASCII in scope', { scope: 'réad:patients' }, 'jwt_claims'],
  ])('with %s are refused', (_name, more, reason) => {
    expect(read(more)).toBe(reason)
  })

  test.each(['exp', 'iat', 'sub', 'org', 'env', 'scope'])('without %s are refused', (name) => {
    expect(without(name)).toBe('jwt_claims')
  })

  test('with scopes between commas name one scope that nobody has, and so nothing', () => {
    expect(read({ scope: 'read:patients,exec:agents' })).toMatchObject({ scopes: new Set() })
  })

  test('may name a thousand scopes', () => {
    const scope = Array.from({ length: 1000 }, (_each, n) => `s:${n}`)
    const catalogue = { has: () => true, names: () => scope, known: (scopes: Iterable<string>) => new Set(scopes) }
    const reader = createClaimsReader(SETTINGS, catalogue)
    expect(reader.identity(goodClaims({ scope: scope.join(' ') }))).toMatchObject({ scopes: new Set(scope) })
  })

  test('that name the same scopes share one set, and others do not', () => {
    const reader = createClaimsReader(SETTINGS, scopeCatalogue({}))
    const scopesOf = (scope: string) => {
      const claims = reader.identity(goodClaims({ scope }))
      return typeof claims === 'string' ? null : claims.scopes
    }
    expect(scopesOf('read:patients made:up')).toBe(scopesOf('read:patients made:up'))
    expect(scopesOf('read:patients')).not.toBe(scopesOf('read:patients made:up'))
    expect(scopesOf('read:patients  made:up')).toBeNull()
    expect(scopesOf('read:patients  made:up')).toBeNull()
  })

  test.each([
    ['exp', `{"__proto__":{"exp":${NOW + 60}}`],
    ['scope', '{"__proto__":{"scope":"admin:org"}'],
    ['scope', '{"constructor":{"prototype":{"scope":"admin:org"}}'],
  ])('are never read from a member named after a prototype: %s', (name, start) => {
    const rest = JSON.stringify({ ...goodClaims(), [name]: undefined }).slice(1)
    expect(readText(`${start},${rest}`)).toBe('jwt_claims')
  })

  test('may be written as any JSON number that is a whole one', () => {
    const text = JSON.stringify(goodClaims()).replace(`"exp":${NOW + 3600}`, `"exp":${(NOW + 3600) / 100}e2`)
    expect(readText(text)).toMatchObject({ expires: NOW + 3600 })
  })
})
