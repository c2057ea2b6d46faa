import { hostname, userInfo } from 'node:os'
import { expect, test } from 'vitest'
import { nearest } from '../../src/cli/keys/check-scopes.ts'
import { operatorOf } from '../../src/cli/operator.ts'
import { collect, readDays, readInstant, readSeconds } from '../../src/cli/read-values.ts'
import { failureOfStore } from '../../src/cli/store-failure.ts'
import { columnsOf, printable, textTable } from '../../src/cli/text-table.ts'
import { SCOPES } from '../../src/index.ts'

const NOW = Date.UTC(2026, 10, 24, 12)

test.each([
  ['2027-01-01', '2027-01-01T00:00:00.000Z'],
  ['2028-02-29', '2028-02-29T00:00:00.000Z'],
  ['2027-01-01T12:00Z', '2027-01-01T12:00:00.000Z'],
  ['2027-01-01T12:00:00.5+02:00', '2027-01-01T10:00:00.500Z'],
  ['90d', '2027-02-22T12:00:00.000Z'],
  ['12h', '2026-11-25T00:00:00.000Z'],
])('an instant: %s is %s', (text, instant) => {
  expect(readInstant('--expires', text, NOW).toISOString()).toBe(instant)
})

test.each([
  '',
  '2027',
  '2027-13-01',
  '2027-02-29',
  '2027-1-1',
  '01/02/2027',
  '2027-01-01T25:00Z',
  '2027-01-01 12:00Z',
  '-90d',
  '90',
  '9e9d',
])('no instant: %s', (text) => {
  expect(() => readInstant('--expires', text, NOW)).toThrow('--expires: expected a date')
})

test('durations and lists', () => {
  expect(['0', '90', '90s', '15m', '24h', '7d'].map((text) => readSeconds('--grace', text))).toEqual([
    0, 90, 90, 900, 86_400, 604_800,
  ])
  expect([readDays('--days', '90'), readDays('--days', '30d')]).toEqual([90, 30])
  expect(collect('c, d,,', collect('a,b'))).toEqual(['a', 'b', 'c', 'd'])
})

test.each([
  ['read:patient', 'read:patients'],
  ['readpatients', 'read:patients'],
  ['write:observation', 'write:observations'],
  ['READ:PATIENTS', null],
  ['fly', null],
  ['', null],
])('the scope that %s was meant to be: %s', (text, scope) => {
  expect(nearest(text, Object.keys(SCOPES))).toBe(scope)
})

test('who does it: the option, the variable, the user of the system', () => {
  const env = { HEALTHCLOUD_OPERATOR: ' cron:rotation\n' }
  expect([operatorOf(env, 'anna'), operatorOf(env, undefined)]).toEqual(['anna', 'cron:rotation'])
  const derived = `${userInfo().username}@${hostname()}`.replaceAll(/[^A-Za-z0-9._@:+-]/g, '-').slice(0, 128)
  expect(operatorOf({ USER: 'somebody else' }, undefined)).toBe(derived)
})

test('columns of a terminal', () => {
  expect(['abc', '名前', 'e\u0301', '😀', ''].map(columnsOf)).toEqual([3, 4, 1, 2, 0])
  expect(printable('a\u001b[31m\u202eb\u2028\tc')).toBe('a?[31m?b??c')
})

test('a table gives the room that there is to its widest columns, and cuts no id', () => {
  const wide = 'w'.repeat(100)
  const lines = textTable([
    { heading: 'ID', cells: ['i'.repeat(68)] },
    { heading: 'A', cells: [wide], flexible: true },
    { heading: 'B', cells: ['short'], flexible: true },
  ]).split('\n')
  expect(lines).toEqual([`ID${' '.repeat(68)}A       B`, `${'i'.repeat(68)}  wwwww…  short`])
  const [, line = ''] = textTable([
    { heading: 'A', cells: [wide], flexible: true },
    { heading: 'B', cells: [wide], flexible: true },
  ]).split('\n')
  expect(line).toBe(`${'w'.repeat(38)}…  ${'w'.repeat(38)}…`)
})

const failing = (message: string, code?: string) =>
  Object.assign(new Error(message), code === undefined ? {} : { code })

test.each([
  [failing('connect ECONNREFUSED', 'ECONNREFUSED'), 4],
  [failing('', 'ECONNREFUSED'), 4],
  [failing('getaddrinfo ENOTFOUND db', 'ENOTFOUND'), 4],
  [failing('the database system is starting up', '57P03'), 4],
  [failing('too many connections', '53300'), 4],
  [failing('another change held its lock for too long; try again.', '55P03'), 4],
  [failing('password authentication failed for user "u"', '28P01'), 3],
  [failing('permission denied for schema public', '42501'), 3],
  [failing('relation does not exist', '42P01'), 1],
  [failing('Redis: WRONGPASS invalid username-password pair', 'WRONGPASS'), 3],
  [failing('Redis: NOPERM no permissions', 'NOPERM'), 3],
  [failing('Redis: LOADING Redis is loading the dataset in memory', 'LOADING'), 4],
  [failing('Redis: it evicts keys when its memory is full (maxmemory-policy allkeys-lru)'), 1],
  [failing('Redis did not answer in time.'), 4],
  [failing('sqliteKeyStore: another connection has held the lock for more than 100 ms. Find it.'), 4],
  [failing('sqliteKeyStore: the file is damaged. Restore it from a backup.'), 1],
  [failing('sqliteKeyStore: the database is read-only. Make the file writable.'), 3],
  ['no error at all', 4],
])('a store that fails with %s: exit %i', (error, exitCode) => {
  expect(failureOfStore(error).exitCode).toBe(exitCode)
})
