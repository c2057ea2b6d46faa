import { describe, expect, test } from 'vitest'
import { isScopeToken, scopeCatalogue, SCOPES } from '../src/scopes.ts'

describe('the nine documented scopes', () => {
  test('have the documented description and level', () => {
    expect(SCOPES).toEqual({
      'read:patients': { description: 'Read FHIR Patient resources', level: 'Standard' },
      'write:patients': { description: 'Create and update Patient resources', level: 'Standard' },
      'read:observations': { description: 'Read FHIR Observations', level: 'Standard' },
      'write:observations': { description: 'Create Observations (e.g. from devices)', level: 'Standard' },
      'exec:agents': { description: 'Execute clinical AI agents', level: 'Standard' },
      'exec:workflows': { description: 'Trigger workflow runs', level: 'Standard' },
      'admin:org': { description: 'Manage organization settings and users', level: 'Admin' },
      'admin:billing': { description: 'View and manage billing', level: 'Admin' },
      'publish:assets': { description: 'Publish assets to the marketplace', level: 'Publisher' },
    })
  })

  test('cannot be changed', () => {
    expect(() => Object.assign(SCOPES, { 'read:all': { description: 'x', level: 'Standard' } })).toThrow(TypeError)
    expect(() => Object.assign(SCOPES['admin:org'], { level: 'Standard' })).toThrow(TypeError)
  })
})

/** RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ). */
describe('a scope token', () => {
  test('is made of exactly the characters of RFC 6749', () => {
    const taken = Array.from({ length: 0x180 }, (_, code) => code).filter((code) =>
      isScopeToken(String.fromCharCode(code)),
    )
    const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)
    expect(taken).toEqual([0x21, ...range(0x23, 0x5b), ...range(0x5d, 0x7e)])
  })

  test.each([
    ['a', true],
    ['x'.repeat(128), true],
    ['x'.repeat(129), false],
    ['', false],
    ['a b', false],
    ['a\n', false],
    ['a"b', false],
    ['a\\b', false],
    ['läbs', false],
    [undefined, false],
    [null, false],
    [7, false],
    [['read:patients'], false],
    [Object('read:patients'), false],
  ])('%j: %s', (text, is) => {
    expect(isScopeToken(text)).toBe(is)
  })
})

describe('a catalogue', () => {
  const catalogue = scopeCatalogue({ 'read:labs': { description: 'Read labs', level: 'Standard' } })

  test('knows the nine and those of its partner, in that order', () => {
    expect(catalogue.names()).toEqual([...Object.keys(SCOPES), 'read:labs'])
  })

  test.each([
    ['read:patients', true],
    ['read:labs', true],
    ['write:labs', false],
    ['READ:PATIENTS', false],
    ['read:patients ', false],
    ['read', false],
    ['*', false],
    ['toString', false],
    ['__proto__', false],
    ['constructor', false],
  ])('%s: %s', (scope, known) => {
    expect(catalogue.has(scope)).toBe(known)
    expect([...catalogue.known([scope])]).toEqual(known ? [scope] : [])
  })

  test('drops what it does not know and repeats nothing', () => {
    expect([...catalogue.known(['made:up', 'read:labs', 'admin:org', 'read:labs', 'hasOwnProperty'])]).toEqual([
      'read:labs',
      'admin:org',
    ])
  })

  test('gives names that are a copy', () => {
    ;(catalogue.names() as string[]).push('made:up')
    expect(catalogue.has('made:up')).toBe(false)
    expect(catalogue.names()).not.toContain('made:up')
  })

  test('of another partner does not know them', () => {
    expect(scopeCatalogue({}).has('read:labs')).toBe(false)
  })
})
