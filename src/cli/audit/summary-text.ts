import type { JournalSummary } from '../../audit/summary/summary.ts'
import type { KeySummary } from '../../audit/summary/key.ts'
import { cell, cut, rightCell } from './cells.ts'
import { printable, WIDTH } from '../text-table.ts'

/** The summary for people: a table with two lines a key, this period and the mean of those before, and what there is to say beside it. */
export function summaryText(summary: JournalSummary): string {
  return [...headOf(summary), '', ...keysOf(summary), '', ...wholeOf(summary)].join('\n')
}

function headOf({ since, until, periods }: JournalSummary): readonly string[] {
  const before = beforeText(Date.parse(until) - Date.parse(since), periods)
  return [
    `From ${minute(since)} to ${minute(until)}, UTC.`,
    periods === 0
      ? `There is nothing to compare with: this journal does not hold the ${before} before it.`
      : `In brackets: the mean of the ${before} before it.`,
    'ADDRS: addresses first seen. HOURS: calls at unusual hours.',
    'ROTATED: calls with a key that was rotated. -: cannot be told.',
  ]
}

const WEEK_MS = 604_800_000

function beforeText(ms: number, periods: number): string {
  const hours = Math.round(ms / 360_000) / 10
  const days = hours % 24 === 0 ? `${hours / 24} days` : `${hours} hours`
  if (ms === WEEK_MS) return periods < 2 ? 'week' : `${periods} weeks`
  return periods < 2 ? days : `${periods} periods of ${days}`
}

function minute(instant: string): string {
  return instant.slice(0, 16).replace('T', ' ')
}

interface Shown {
  readonly count: number | null
  readonly mean: number | null
  readonly countIsExact?: boolean
  readonly meanIsExact?: boolean
}

interface FigureColumn {
  readonly heading: string
  readonly width: number
  readonly figureOf: (summary: KeySummary) => Shown
}

/** With a gap of one they fill 80 columns. */
const WHO = 24
const FIGURES: readonly FigureColumn[] = [
  { heading: 'CALLS', width: 8, figureOf: ({ calls }) => calls },
  { heading: 'PATIENTS', width: 9, figureOf: ({ patients }) => patients },
  { heading: 'BULK', width: 6, figureOf: ({ bulk }) => bulk },
  { heading: 'DENIED', width: 7, figureOf: ({ denied }) => denied },
  { heading: 'ADDRS', width: 6, figureOf: ({ addressesFirstSeen }) => addressesFirstSeen },
  { heading: 'HOURS', width: 6, figureOf: ({ unusualHours }) => unusualHours },
  { heading: 'ROTATED', width: 7, figureOf: ({ rotated }) => rotated },
]

function keysOf({ keys }: JournalSummary): readonly string[] {
  if (keys.length === 0) return ['No key was used.']
  return [tableRow('KEY', ({ heading }) => heading), ...keys.flatMap(linesOfKey)]
}

function tableRow(who: string, textOf: (column: FigureColumn) => string): string {
  return [cell(who, WHO), ...FIGURES.map((column) => rightCell(textOf(column), column.width))].join(' ')
}

function linesOfKey(summary: KeySummary): readonly string[] {
  const { key, org, isNew } = summary
  return [
    tableRow(key ?? 'tokens without a key', ({ figureOf, width }) => {
      const { count, countIsExact } = figureOf(summary)
      return numberText(count, width, (text) => `${countIsExact === false ? '≥' : ''}${text}`)
    }),
    tableRow(`  ${isNew === true ? 'new, ' : ''}of ${org ?? '-'}`, ({ figureOf, width }) => {
      const { mean, meanIsExact } = figureOf(summary)
      return numberText(mean, width, (text) => `(${meanIsExact === false ? '≥' : ''}${text})`)
    }),
    ...notesOf(summary).map((note) => cut(`    ${note}`, WIDTH)),
  ]
}

/** As many digits as there is room for; `-`: that cannot be told. */
function numberText(value: number | null, width: number, around: (text: string) => string): string {
  if (value === null) return around('-')
  const forms = [meanText(value), `${Math.round(value / 1000)}k`, `${Math.round(value / 1_000_000)}M`].map(around)
  return forms.find((form) => form.length <= width) ?? forms.at(-1) ?? ''
}

function meanText(mean: number | null): string {
  if (mean === null) return '-'
  return mean >= 100 ? String(Math.round(mean)) : String(Math.round(mean * 10) / 10)
}

function notesOf({ denials, addressesFirstSeen, unusualHours, rotated }: KeySummary): readonly string[] {
  const { addresses, count } = addressesFirstSeen
  const { graceEnds } = rotated
  const { hours } = unusualHours
  return [
    ...denials.map(({ reason, count: calls, mean }) => `denied: ${reasonText(reason)} ${calls} (${meanText(mean)})`),
    ...wrapped('first seen:', [
      ...addresses.map(printable),
      ...((count ?? 0) > addresses.length ? [`and ${(count ?? 0) - addresses.length} more`] : []),
    ]),
    ...wrapped('unusual hours:', [
      ...hours.slice(0, MAX_HOURS).map(({ hour, calls }) => `${hour} ${calls},`),
      ...(hours.length > MAX_HOURS ? [`and ${hours.length - MAX_HOURS} more`] : []),
    ]).map((line) => line.replace(/,$/, '')),
    ...(graceEnds === null ? [] : [`rotated: this key ends at ${minute(new Date(graceEnds).toISOString())}`]),
  ]
}

function reasonText(reason: string): string {
  return printable(reason).slice(0, 40)
}

const MAX_HOURS = 20
const INDENT = 4

function wrapped(title: string, words: readonly string[]): readonly string[] {
  if (words.length === 0) return []
  const lines = [title]
  for (const word of words) {
    const last = lines.at(-1) ?? ''
    if (INDENT + last.length + 1 + word.length <= WIDTH) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(`  ${word}`)
  }
  return lines
}

interface WholeFigure {
  readonly count: number
  readonly mean: number | null
}

function wholeOf(summary: JournalSummary): readonly string[] {
  const { withoutIdentity, unattributed, changes } = summary
  return [
    wholeRow('Calls without an identity', withoutIdentity.calls),
    ...withoutIdentity.denials.map(({ reason, ...figure }) => wholeRow(`  denied: ${reasonText(reason)}`, figure)),
    wholeRow('Calls that nobody attributed', unattributed),
    ...unattributed.routes.slice(0, MAX_ROUTES).map(({ route, ...figure }) => wholeRow(`  ${route}`, figure)),
    wholeRow('Calls interrupted by a crash', summary.interrupted),
    wholeRow('Calls that stand in no event (gaps)', summary.gaps),
    wholeRow('Audit stops', summary.stops),
    wholeRow('Audit starts', summary.starts),
    wholeRow('Crashes cleaned up after', summary.recoveries),
    wholeRow('Clock jumps', summary.clockJumps),
    ...(changes.length === 0 ? [] : ['Changes of keys and tokens']),
    ...changes.map(({ name, ...figure }) => wholeRow(`  ${name}`, figure)),
  ]
}

const MAX_ROUTES = 10
const TITLE = 50

function wholeRow(title: string, { count, mean }: WholeFigure): string {
  return `${cell(title, TITLE)} ${rightCell(String(count), 9)} (${meanText(mean)})`
}
