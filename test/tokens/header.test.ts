import { describe, expect, test } from 'vitest'
import { readHeader, type HeaderRules } from '../../src/tokens/header.ts'
import { parseObject } from '../../src/tokens/json-object.ts'

const RULES: HeaderRules = { algorithms: ['RS256', 'EdDSA'], types: new Set(['at+jwt', 'jwt']) }

const read = (members: object) => readHeader(parseObject(JSON.stringify(members)) ?? {}, RULES)
const good = { alg: 'RS256', typ: 'at+jwt', kid: 'a' }

describe('a header', () => {
  test.each<[name: string, members: object, algorithm: string, kid: string | null]>([
    ['as it should be', good, 'RS256', 'a'],
    ['as it is documented, without kid', { alg: 'RS256', typ: 'JWT' }, 'RS256', null],
    ['with another allowed algorithm', { ...good, alg: 'EdDSA' }, 'EdDSA', 'a'],
    ['with typ in capitals', { ...good, typ: 'AT+JWT' }, 'RS256', 'a'],
    ['with typ as full media type', { ...good, typ: 'application/at+jwt' }, 'RS256', 'a'],
    ['with typ as full media type in capitals', { ...good, typ: 'Application/AT+JWT' }, 'RS256', 'a'],
    ['with a kid of 256 characters', { ...good, kid: 'k'.repeat(256) }, 'RS256', 'k'.repeat(256)],
    ['with a kid that is a path, which is only a name', { ...good, kid: '../../dev/null' }, 'RS256', '../../dev/null'],
    ['with members that are not known', { ...good, x5t: 'x', extra: { crit: 1 } }, 'RS256', 'a'],
    ['with another cty', { ...good, cty: 'json' }, 'RS256', 'a'],
  ])('%s is read', (_name, members, algorithm, kid) => {
    expect(read(members)).toEqual({ ok: true, algorithm, kid })
  })

  test.each<[name: string, members: object, reason: string]>([
    ['crit', { ...good, crit: ['exp'] }, 'jwt_malformed'],
    ['an empty crit', { ...good, crit: [] }, 'jwt_malformed'],
    ['crit: null', { ...good, crit: null }, 'jwt_malformed'],
    ['b64: false', { ...good, b64: false }, 'jwt_malformed'],
    ['b64: true', { ...good, b64: true }, 'jwt_malformed'],
    ['zip', { ...good, zip: 'DEF' }, 'jwt_malformed'],
    ['jku', { ...good, jku: 'https://evil.example/jwks' }, 'jwt_malformed'],
    ['jwk', { ...good, jwk: { kty: 'RSA' } }, 'jwt_malformed'],
    ['x5u', { ...good, x5u: 'https://evil.example/cert' }, 'jwt_malformed'],
    ['x5c', { ...good, x5c: ['MII'] }, 'jwt_malformed'],
    ['cty: JWT', { ...good, cty: 'JWT' }, 'jwt_malformed'],
    ['cty: application/jwt', { ...good, cty: 'application/jwt' }, 'jwt_malformed'],
    ['an empty kid', { ...good, kid: '' }, 'jwt_malformed'],
    ['a kid of 257 characters', { ...good, kid: 'k'.repeat(257) }, 'jwt_malformed'],
    ['a kid that is a number', { ...good, kid: 1 }, 'jwt_malformed'],
    ['a kid that is a list', { ...good, kid: ['a'] }, 'jwt_malformed'],
    ['a kid that is null', { ...good, kid: null }, 'jwt_malformed'],
    ['no alg', { typ: 'JWT' }, 'jwt_algorithm'],
    ['alg: none', { ...good, alg: 'none' }, 'jwt_algorithm'],
    ['alg: None', { ...good, alg: 'None' }, 'jwt_algorithm'],
    ['alg: NONE', { ...good, alg: 'NONE' }, 'jwt_algorithm'],
    ['alg: nOnE', { ...good, alg: 'nOnE' }, 'jwt_algorithm'],
    ['an empty alg', { ...good, alg: '' }, 'jwt_algorithm'],
    ['alg: null', { ...good, alg: null }, 'jwt_algorithm'],
    ['alg in small letters', { ...good, alg: 'rs256' }, 'jwt_algorithm'],
    ['alg as a list', { ...good, alg: ['RS256'] }, 'jwt_algorithm'],
    ['alg as an object', { ...good, alg: { 0: 'RS256' } }, 'jwt_algorithm'],
    ['alg named after a member of a list', { ...good, alg: 'length' }, 'jwt_algorithm'],
    ['HS256', { ...good, alg: 'HS256' }, 'jwt_algorithm'],
    ['an algorithm that is not allowed here', { ...good, alg: 'ES256' }, 'jwt_algorithm'],
    ['no typ', { alg: 'RS256', kid: 'a' }, 'jwt_type'],
    ['an empty typ', { ...good, typ: '' }, 'jwt_type'],
    ['typ: null', { ...good, typ: null }, 'jwt_type'],
    ['typ as a list', { ...good, typ: ['JWT'] }, 'jwt_type'],
    ['the typ of an ID token', { ...good, typ: 'id+jwt' }, 'jwt_type'],
    ['the typ of a logout token', { ...good, typ: 'logout+jwt' }, 'jwt_type'],
    ['the typ of a DPoP proof', { ...good, typ: 'dpop+jwt' }, 'jwt_type'],
    ['typ with a space', { ...good, typ: 'JWT ' }, 'jwt_type'],
    ['typ with two prefixes', { ...good, typ: 'application/application/jwt' }, 'jwt_type'],
    ['typ in another tree', { ...good, typ: 'text/jwt' }, 'jwt_type'],
  ])('with %s is refused', (_name, members, reason) => {
    expect(read(members)).toEqual({ ok: false, reason })
  })
})
