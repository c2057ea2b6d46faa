import { createSummary, historyStart, type JournalSummary } from '../../audit/summary/summary.ts'
import { createBroken, type Broken } from './broken.ts'
import { auditDirectory, type DirectoryOptions } from './directory.ts'
import { readRange, type RangeOptions } from './instants.ts'
import { terminalSafe } from './output.ts'
import { journalEntries, journalStart } from './read.ts'
import { summaryText } from './summary-text.ts'
import { usage, type ExitCode } from '../command-error.ts'
import type { Output } from '../keys/actions.ts'
import type { Shell } from '../shell.ts'

export interface SummaryOptions extends DirectoryOptions, RangeOptions, Output {}

const HOUR_MS = 3_600_000

/** `hc-auth audit summary` */
export async function summarizeAudit(shell: Shell, options: SummaryOptions): Promise<ExitCode> {
  const directory = auditDirectory(shell, options)
  const now = Date.now()
  const { since, until } = readRange({ ...options, until: options.until ?? new Date(now).toISOString() }, now)
  if (since === null || until === null || until - since < HOUR_MS) throw usage('--since: expected an hour, or longer.')
  const broken = createBroken()
  const begins = await shell.unlessInterrupted(journalStart(directory))
  const summary = await summaryOf(shell, { directory, since, until, begins, broken })
  if (options.json === true) await shell.print(terminalSafe(JSON.stringify({ ...summary, unreadable: broken.count })))
  else await shell.print(summaryText(summary))
  if (begins === null) shell.narrate('There is no event in this journal.')
  return broken.verdict(shell)
}

interface Work {
  readonly directory: string
  readonly since: number
  readonly until: number
  readonly begins: number | null
  readonly broken: Broken
}

async function summaryOf(shell: Shell, { directory, broken, ...range }: Work): Promise<JournalSummary> {
  const summary = createSummary(range)
  for await (const { event } of journalEntries({ directory, since: historyStart(range), broken })) {
    shell.goOn()
    summary.add(event)
  }
  return summary.result()
}
