import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { discreet, withHidden } from '../../src/lib/discreet.ts'
import { polluted } from '../keys/parts.ts'

const SECRET = 'a secret'

test.each([
  ['console.log', inspect],
  ['console.log of what holds it', (value: object) => inspect({ a: [value] }, { depth: 9 })],
  ['the debugger', (value: object) => inspect(value, { showHidden: true, getters: true })],
  ['JSON', (value: object) => JSON.stringify({ a: [value] })],
])('%s shows the face', (_what, show) => {
  const shown = show(discreet({ secret: SECRET }, () => ({ face: 'a face' })))
  expect(shown).toContain('a face')
  expect(shown).not.toContain(SECRET)
})

test('its members are read, spread and enumerated as ever, and nothing else is', () => {
  const object = discreet({ secret: SECRET }, () => ({}))
  const names: string[] = []
  for (const name in object) names.push(name)
  expect([object.secret, { ...object }, Object.entries(object), names]).toEqual([
    SECRET,
    { secret: SECRET },
    [['secret', SECRET]],
    ['secret'],
  ])
  expect(object).toBeInstanceOf(Object)
})

test('a hidden member is read by its name alone', () => {
  const object = withHidden({ open: 1 }, 'secret', SECRET)
  expect([object.secret, { ...object }, JSON.stringify(object)]).toEqual([SECRET, { open: 1 }, '{"open":1}'])
})

test('neither it nor its face can be changed', () => {
  const object = discreet(withHidden({}, 'secret', SECRET), () => ({}))
  expect(() => Object.assign(object, { secret: '' })).toThrow(TypeError)
  expect(() => Object.assign(object, { toJSON: () => object.secret })).toThrow(TypeError)
  expect(() => Object.assign(Object(Object.getPrototypeOf(object)), { toJSON: null })).toThrow(TypeError)
})

test('a polluted prototype opens nothing', async () => {
  const object = await polluted({ enumerable: true, writable: true, configurable: true }, () =>
    discreet(withHidden({}, 'secret', SECRET), () => ({})),
  )
  expect(Reflect.getOwnPropertyDescriptor(object, 'secret')).toEqual({
    value: SECRET,
    enumerable: false,
    writable: false,
    configurable: false,
  })
})
