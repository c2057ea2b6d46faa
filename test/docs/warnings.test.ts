import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from '../../scripts/local-bin.mjs'

const SOURCES = ['src', 'adapters'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(ROOT, folder, name), 'utf8')),
)

test('docs/running.md has a row for each warning of the process, and for no other', () => {
  const codes = SOURCES.flatMap((source) => source.match(/\bHC_AUTH_[A-Z_]+[A-Z]\b/g) ?? [])
  const rows = [...readFileSync(join(ROOT, 'docs/running.md'), 'utf8').matchAll(/^\| `(HC_AUTH_\w+)` \|/gm)]
  expect(codes.length).toBeGreaterThan(5)
  expect(rows.map(([, code]) => code).toSorted()).toEqual([...new Set(codes)].toSorted())
})

test('every warning has our type and a code', () => {
  const calls = SOURCES.flatMap((source) => source.split('process.emitWarning(').slice(1))
  expect(calls.length).toBeGreaterThan(5)
  for (const call of calls)
    expect(call.slice(0, 700)).toMatch(/type: 'HealthCloudAuthWarning',\s+code: 'HC_AUTH_[A-Z_]+'/)
})
