import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from '../../scripts/local-bin.mjs'
import { AUDIT_METRICS, createAuditMetrics, type AuditSample } from '../../src/audit/recorder/metrics.ts'

/** The table of docs/journal.md says what a dashboard gets. */
const TEXT = readFileSync(join(ROOT, 'docs/journal.md'), 'utf8')
const ROWS = [...TEXT.matchAll(/^\| `(hc_\w+)` \| (.+?) \| `(.+?)` \|(.*?)\| (.+?) \|$/gm)].map(
  ([, name = '', type = '', unit = '', attributes = '', says = '']) => ({
    name,
    type,
    unit,
    attributes: [...attributes.matchAll(/`(\w+)`/g)].map(([, each]) => each),
    says,
  }),
)

const plain = (text: string): string => text.toLowerCase().replace(/\.$/, '')

/** With something to tell of each. */
function snapshot() {
  const metrics = createAuditMetrics()
  metrics.event({ kind: 'access', name: 'request', outcome: 'success', reason: null })
  return metrics.snapshot({
    sinks: { nats: { lagEvents: 1, lagSeconds: 1, batches: 1, failures: 1, dead: 1 } },
    unattributed: { '/a/:id': 1 },
    gaps: 1,
    freeBytes: 1,
    checkpointAgeSeconds: 1,
  })
}

test('every metric has a row with its type, its unit and what it says, and no other has', () => {
  expect(ROWS.map(({ name, type, unit, says }) => [name, type, unit, plain(says)])).toEqual(
    Object.entries(AUDIT_METRICS).map(([name, { type, unit, description }]) => [name, type, unit, plain(description)]),
  )
})

test('each row names the attributes that the metric comes with', () => {
  const keysOf = (samples: readonly AuditSample[]) => Object.keys(samples[0]?.attributes ?? { none: 0 })
  const found = Object.entries(snapshot()).map(([name, samples]) => [name, keysOf(samples)] as const)
  expect(Object.fromEntries(ROWS.map(({ name, attributes }) => [name, attributes]))).toEqual(Object.fromEntries(found))
})

test('the messages of the channel are those of `AuditNews`', () => {
  const source = readFileSync(join(ROOT, 'src/audit/recorder/metrics.ts'), 'utf8')
  const types = /^export type AuditNews =\n((?: {2}\|.*\n)+)/m.exec(source)?.[1] ?? ''
  const expected = [...types.matchAll(/type: ((?:'[\w-]+'(?: \| )?)+)/g)].flatMap(([, each = '']) => names(each, /'/g))
  const table = TEXT.slice(TEXT.indexOf('healthcloud.audit'))
  const cells = [...table.matchAll(/^\| ((?:`[\w-]+`(?:, )?)+) \|/gm)].map(([, each = '']) => each)
  expect(expected.length).toBe(5)
  expect(cells.filter((cell) => cell !== '`type`').flatMap((cell) => names(cell, /`/g))).toEqual(expected)
})

function names(text: string, quotes: RegExp): readonly string[] {
  return text.replaceAll(quotes, '').split(/, | \| /)
}
