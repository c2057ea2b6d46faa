import { describe, expect, test } from 'vitest'
import { changedRecord, isOnlyUse, isRotationOf, recordOfText, textOfRecord } from '../../src/keys/stored-record.ts'
import { newKey, recordOf, START } from './parts.ts'

const at = (ms: number) => new Date(START + ms)

describe('the text of a record', () => {
  test('gives the record back, instants to the millisecond', () => {
    const record = recordOf(newKey(), {
      expiresAt: at(1),
      rotatedAt: at(2),
      lastUsedAt: at(3),
      name: 'Ä "\\ \u{1F3E5}',
    })
    expect(recordOfText(textOfRecord(record))).toEqual(record)
  })

  test.each(['createdAt', 'expiresAt', 'validUntil', 'revokedAt'] as const)(
    'is not written where %s is an invalid date: it would read as none',
    (name) => {
      expect(() => textOfRecord(recordOf(newKey(), { [name]: new Date(Number.NaN) }))).toThrow(name)
    },
  )

  test.each(['', '{', '7', 'null', '"text"'])('that is %j gives no member at all', (text) => {
    expect(Object.keys(recordOfText(text))).toEqual([])
  })
})

describe('a change', () => {
  test('touches neither id nor digest', () => {
    const record = recordOf(newKey())
    expect(changedRecord(record, { id: 'key_x', digest: 'x', name: 'new' })).toEqual({ ...record, name: 'new' })
  })

  test.each<[string, object, object, object]>([
    [
      'a first revocation is set',
      {},
      { revokedAt: at(1), revokedReason: 'a' },
      { revokedAt: at(1), revokedReason: 'a' },
    ],
    [
      'a second one changes nothing',
      { revokedAt: at(1), revokedReason: null },
      { revokedAt: at(0), revokedReason: 'b' },
      { revokedAt: at(1), revokedReason: null },
    ],
    ['none is taken back', { revokedAt: at(1) }, { revokedAt: null }, { revokedAt: at(1) }],
    ['a later use is set', { lastUsedAt: at(1) }, { lastUsedAt: at(2) }, { lastUsedAt: at(2) }],
    ['an earlier one is not', { lastUsedAt: at(1) }, { lastUsedAt: at(0) }, { lastUsedAt: at(1) }],
    ['no use takes one back', { lastUsedAt: at(1) }, { lastUsedAt: null }, { lastUsedAt: at(1) }],
    ['a first use is set', {}, { lastUsedAt: at(1) }, { lastUsedAt: at(1) }],
  ])('is evidence: %s', (_what, stored, change, expected) => {
    const record = recordOf(newKey(), stored)
    expect(changedRecord(record, change)).toEqual({ ...record, ...expected })
  })

  test.each<[object, boolean]>([
    [{ lastUsedAt: at(0) }, true],
    [{}, true],
    [{ lastUsedAt: at(0), name: 'new' }, false],
    [{ revokedAt: at(0) }, false],
  ])('%o says no more than a use: %s', (change, only) => {
    expect(isOnlyUse(change)).toBe(only)
  })
})

describe('a rotation', () => {
  const stored = recordOf(newKey())
  const rotation = { rotatedAt: at(0), validUntil: at(1), replacedBy: 'key_n' }

  test.each<[string, object, boolean]>([
    ['as it was read', {}, true],
    ['used since', { lastUsedAt: at(5) }, true],
    ['revoked since', { revokedAt: at(5) }, false],
    ['rotated since', { replacedBy: 'key_o' }, false],
    ['with other scopes since', { scopes: [] }, false],
  ])('fits a record %s: %3$s', (_what, since, fits) => {
    expect(isRotationOf({ ...stored, ...since }, { ...stored, ...rotation })).toBe(fits)
  })
})
