import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseQuery, queryNamesOf } from '../../src/request/query.ts'

describe('parseQuery', () => {
  test.each<[url: string, entries: readonly (readonly [string, string | readonly string[]])[]]>([
    ['/v1/patients', []],
    ['/v1/patients?', []],
    ['', []],
    ['?', []],
    ['?&&&', []],
    ['/p?_count=10', [['_count', '10']]],
    [
      '/p?a=1&b=2',
      [
        ['a', '1'],
        ['b', '2'],
      ],
    ],
    ['/p?a=1&a=2&a=3', [['a', ['1', '2', '3']]]],
    ['/p?a=1&%61=2', [['a', ['1', '2']]]],
    ['/p?a', [['a', '']]],
    ['/p?a=', [['a', '']]],
    ['/p?=1', [['', '1']]],
    ['/p?a==b', [['a', '=b']]],
    ['/p?a=b=c', [['a', 'b=c']]],
    ['/p?a?b=c?d', [['a?b', 'c?d']]],
    ['/p?a+b=c+d%20e', [['a b', 'c d e']]],
    ['/p?a=%2B', [['a', '+']]],
    ['/p?a=%26%3D', [['a', '&=']]],
    ['/p?n=J%C3%BCrg', [['n', 'Jürg']]],
    ['/p?a=%', [['a', '%']]],
    ['/p?a=%zz', [['a', '%zz']]],
    ['/p?a=%4', [['a', '%4']]],
    ['/p?a=%ff', [['a', '%ff']]],
    ['/p?a=x+%C3', [['a', 'x %C3']]],
    ['/p?%=1', [['%', '1']]],
    [
      '/p?a[b]=1&a[]=2',
      [
        ['a[b]', '1'],
        ['a[]', '2'],
      ],
    ],
    ['/p?a.b=1;c=2', [['a.b', '1;c=2']]],
    ['/p?__proto__=x', [['__proto__', 'x']]],
    ['/p?__proto__=x&__proto__=y', [['__proto__', ['x', 'y']]]],
    [
      '/p?constructor=x&toString=y&hasOwnProperty=z',
      [
        ['constructor', 'x'],
        ['toString', 'y'],
        ['hasOwnProperty', 'z'],
      ],
    ],
    ['/p?a=1#b=2&c=3', [['a', '1']]],
    ['/p#?a=1', []],
    ['http://host/p?a=1', [['a', '1']]],
  ])('of %s', (url, entries) => {
    const query = parseQuery(url)
    expect(Object.entries(query)).toEqual(entries)
    expect(Object.getPrototypeOf(query)).toBe(null)
    expect(Object.isFrozen(query)).toBe(true)
    for (const value of Object.values(query)) expect(Object.isFrozen(value)).toBe(true)
    expect([...queryNamesOf(url)]).toEqual(entries.map(([name]) => name))
  })

  test('reads 1,000 pairs and no more', () => {
    const pairs = Array.from({ length: 1_001 }, (_, index) => `p${index}=x`)
    expect(Object.keys(parseQuery(`/p?${pairs.join('&')}`))).toHaveLength(1_000)
    expect(parseQuery(`/p?${'a=1&'.repeat(1_001)}`)['a']).toHaveLength(1_000)
    expect([...queryNamesOf(`/p?${pairs.join('&')}`)]).toHaveLength(1_000)
  })

  test('never throws, and agrees with URLSearchParams wherever escapes are whole', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', '=', '&', '+', '%41', '%C3%A9', '%20', '.', '[', 'ü'),
      maxLength: 20,
    })
    fc.assert(
      fc.property(text, (query) => {
        const expected = new Map<string, string[]>()
        for (const [name, value] of new URLSearchParams(query))
          expected.set(name, [...(expected.get(name) ?? []), value])
        const found = new Map(Object.entries(parseQuery(`/p?${query}`)).map(([name, value]) => [name, [value].flat()]))
        expect(found).toEqual(expected)
      }),
      { numRuns: 1_000 },
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (url) => {
        const query = parseQuery(url)
        expect(Object.keys(query).toSorted()).toEqual([...queryNamesOf(url)].toSorted())
        parseQuery(`/p?${url}`)
      }),
      { numRuns: 1_000 },
    )
  })
})
