import { createBroken } from './broken.ts'
import { auditDirectory, type DirectoryOptions } from './directory.ts'
import { readFilter, type FilterOptions } from './filter.ts'
import { createEventPrinter } from './printer.ts'
import { journalEntries } from './read.ts'
import type { ExitCode } from '../command-error.ts'
import type { Output } from '../keys/actions.ts'
import type { Shell } from '../shell.ts'

export interface QueryOptions extends DirectoryOptions, FilterOptions, Output {}

/** `hc-auth audit query` */
export async function queryAudit(shell: Shell, options: QueryOptions): Promise<ExitCode> {
  const directory = auditDirectory(shell, options)
  const { since, accepts } = await readFilter(shell, options)
  const printer = createEventPrinter(shell, options)
  const broken = createBroken()
  let read = 0
  for await (const entry of journalEntries({ directory, since, broken })) {
    read += 1
    shell.goOn()
    if (accepts(entry.event)) await printer.print(entry)
  }
  await printer.flush()
  if (options.json !== true) shell.narrate(countText(printer.count, read))
  return broken.verdict(shell)
}

/** An empty answer must not look like a journal without misuse where there is no journal. */
export function countText(count: number, read: number): string {
  if (read === 0) return 'There is no event in this journal, or none so late.'
  return count === 1 ? '1 event.' : `${count} events.`
}
