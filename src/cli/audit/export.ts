import type { AuditEvent } from '../../audit/event.ts'
import { toFhirAuditEvents } from '../../audit/fhir.ts'
import { createBroken } from './broken.ts'
import { CSV_HEADER, csvLine } from './csv.ts'
import { auditDirectory, type DirectoryOptions } from './directory.ts'
import { openExportFile } from './export-file.ts'
import { readFilter, type Filter, type FilterOptions } from './filter.ts'
import { createLines, type Lines } from './output.ts'
import { countText } from './query.ts'
import { journalEntries, type JournalReading } from './read.ts'
import type { Entry } from './segment.ts'
import { usage, type ExitCode } from '../command-error.ts'
import type { Output } from '../keys/actions.ts'
import type { Shell } from '../shell.ts'

export interface ExportOptions extends DirectoryOptions, FilterOptions, Output {
  readonly format: 'ndjson' | 'csv' | 'fhir'
  readonly output?: string
}

interface Format {
  readonly header: string | null
  readonly linesOf: (entry: Entry) => readonly string[]
}

const FORMATS: Readonly<Record<ExportOptions['format'], Format>> = {
  ndjson: { header: null, linesOf: ({ text }) => [text] },
  csv: { header: CSV_HEADER, linesOf: ({ event }) => [csvLine(event)] },
  fhir: { header: null, linesOf: ({ event }) => fhirLines(event) },
}

function fhirLines(event: AuditEvent): readonly string[] {
  return toFhirAuditEvents(event).map((resource) => JSON.stringify(resource))
}

/** `hc-auth audit export` */
export async function exportAudit(shell: Shell, options: ExportOptions): Promise<ExitCode> {
  const { output, json, format } = options
  if (json === true && output === undefined) {
    throw usage('--json: tells of a file, so it needs --output. --format chooses the form of the events.')
  }
  const directory = auditDirectory(shell, options)
  const filter = await readFilter(shell, options)
  const broken = createBroken()
  const work = { shell, reading: { directory, since: filter.since, broken }, filter, format: FORMATS[format] }
  const counts = output === undefined ? await copy(work, shell.print) : await copyToFile(work, output)
  const { events, read, lines } = counts
  if (json === true) await shell.print(JSON.stringify({ format, events, lines, unreadable: broken.count }))
  else shell.narrate(countText(events, read))
  return broken.verdict(shell)
}

interface Work {
  readonly shell: Shell
  readonly reading: JournalReading
  readonly filter: Filter
  readonly format: Format
}

interface Counts {
  readonly events: number
  /** Those that are not wanted, too. */
  readonly read: number
  /** A header is none. */
  readonly lines: number
}

async function copyToFile(work: Work, output: string): Promise<Counts> {
  const file = await openExportFile(work.shell, output)
  try {
    const counts = await copy(work, file.write)
    await file.keep()
    return counts
  } finally {
    await file.drop()
  }
}

async function copy(work: Work, write: (text: string) => Promise<void>): Promise<Counts> {
  const lines = createLines(work.shell, write)
  const { header } = work.format
  if (header !== null) await lines.add(header)
  const counts = await copyEntries(work, lines)
  await lines.flush()
  return { ...counts, lines: lines.count - (header === null ? 0 : 1) }
}

async function copyEntries({ shell, reading, filter, format }: Work, lines: Lines): Promise<Omit<Counts, 'lines'>> {
  let events = 0
  let read = 0
  for await (const entry of journalEntries(reading)) {
    read += 1
    shell.goOn()
    if (!filter.accepts(entry.event)) continue
    events += 1
    for (const line of format.linesOf(entry)) await lines.add(line)
  }
  return { events, read }
}
