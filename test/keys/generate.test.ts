import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { environmentOf } from '../../src/keys/format.ts'
import { generateKey, generateKeyId } from '../../src/keys/generate.ts'
import { isKeyId } from '../../src/keys/record.ts'

describe('a generated key', () => {
  test.each(['live', 'test'] as const)('of %s is well-formed and says so', (environment) => {
    for (let round = 0; round < 2000; round += 1)
      expect(environmentOf(generateKey(environment, randomBytes))).toBe(environment)
  })

  test('is 30 characters of the given randomness and their check', () => {
    expect(generateKey('live', (count) => new Uint8Array(count))).toBe(`hc_live_sk_${'0'.repeat(30)}41YlZV`)
  })

  test('is never the same twice', () => {
    expect(new Set(Array.from({ length: 2000 }, () => generateKey('live', randomBytes))).size).toBe(2000)
  })
})

test('a generated id is key_ and 20 characters of base 62', () => {
  const ids = Array.from({ length: 1000 }, () => generateKeyId(randomBytes))
  for (const id of ids) expect(id).toMatch(/^key_[0-9A-Za-z]{20}$/)
  expect(ids.every((id) => isKeyId(id))).toBe(true)
  expect(new Set(ids).size).toBe(1000)
})
