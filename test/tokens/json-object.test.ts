import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { own, parseObject } from '../../src/tokens/json-object.ts'

const nested = (depth: number, open: string, close: string) => `{"a":${open.repeat(depth)}1${close.repeat(depth)}}`

describe('parseObject', () => {
  test.each<[text: string, value: unknown]>([
    ['{}', {}],
    [' \n{ "a" : 1 }\t', { a: 1 }],
    ['{"a":"\\"","b":"{\\\\","c":":,["}', { a: '"', b: '{\\', c: ':,[' }],
    ['{"a":{"a":{"a":[{"a":1},{"a":1}]}}}', { a: { a: { a: [{ a: 1 }, { a: 1 }] } } }],
    ['{"":1," ":2}', { '': 1, ' ': 2 }],
    [nested(15, '[', ']'), expect.anything()],
  ])('takes %s', (text, value) => {
    expect(parseObject(text)).toEqual(value)
  })

  test.each([
    ['nothing', ''],
    ['a list', '[]'],
    ['a number', '1'],
    ['a string', '"x"'],
    ['null', 'null'],
    ['true', 'true'],
    ['an open object', '{"a":1'],
    ['an open string', '{"a'],
    ['a string that ends in a backslash', '{"a\\'],
    ['two objects', '{}{}'],
    ['a byte order mark', '\ufeff{}'],
    ['a comma too many', '{"a":1,}'],
    ['a comment', '{/**/}'],
    ['single quotes', "{'a':1}"],
    ['NaN', '{"exp":NaN}'],
    ['Infinity', '{"exp":Infinity}'],
    ['a line feed in a string', '{"a":"\n"}'],
    ['a member twice', '{"exp":1,"exp":2}'],
    ['a member twice with one value', '{"exp":1,"exp":1}'],
    ['a member twice, once escaped', '{"exp":1,"\\u0065xp":2}'],
    ['a member twice, deep down', '{"a":[{"b":{"c":1,"d":2,"c":3}}]}'],
    ['__proto__ twice', '{"__proto__":1,"__proto__":2}'],
    ['an index twice', '{"0":1,"0":1}'],
    ['lists in lists', nested(16, '[', ']')],
    ['objects in objects', nested(16, '{"a":', '}')],
    ['8,000 open brackets', '['.repeat(8000)],
    ['8,000 open objects', '{"a":'.repeat(1600)],
    ['8,000 spaces', ' '.repeat(8000)],
  ])('refuses %s', (_name, text) => {
    expect(parseObject(text)).toBeNull()
  })

  test.each([
    ['open brackets', '['.repeat(8192)],
    ['open objects', '{"a":'.repeat(1600)],
    ['backslashes and quotes', `{"${'\\\\"'.repeat(2700)}`],
    ['quotes', `{${'"'.repeat(8190)}`],
    ['members', `{${Array.from({ length: 1200 }, (_each, n) => `"${n}":1`).join()}}`],
  ])('takes less than a millisecond for 8 KiB of %s', (_name, text) => {
    const times = Array.from({ length: 50 }, () => {
      const start = performance.now()
      parseObject(text)
      return performance.now() - start
    })
    expect(Math.min(...times)).toBeLessThan(1)
  })

  test('reads every object as JSON.parse does, in every spelling of it', () => {
    const value = fc.jsonValue({ maxDepth: 6, stringUnit: 'binary' })
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary' }), value),
        fc.constantFrom(undefined, 2),
        (object, indent) => {
          const text = JSON.stringify(object, null, indent)
          expect(JSON.stringify(parseObject(text))).toBe(JSON.stringify(JSON.parse(text)))
        },
      ),
    )
  })

  test('refuses every object in which some member is written twice', () => {
    const names = fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(names, fc.nat(), fc.nat(3), (all, which, depth) => {
        const members = [...all, all[which % all.length] ?? ''].map((name) => `${JSON.stringify(name)}:{}`)
        const text = `{${members.join()}}`
        expect(parseObject(`${'{"x":['.repeat(depth)}${text}${']}'.repeat(depth)}`)).toBeNull()
      }),
    )
  })
})

describe('own', () => {
  const object = parseObject('{"__proto__":{"scope":"admin:org"},"a":1,"hasOwnProperty":2}') ?? {}

  test.each<[name: string, value: unknown]>([
    ['a', 1],
    ['hasOwnProperty', 2],
    ['__proto__', { scope: 'admin:org' }],
    ['scope', undefined],
    ['constructor', undefined],
    ['toString', undefined],
  ])('reads %s as what the object itself holds', (name, value) => {
    expect(own(object, name)).toEqual(value)
  })
})
