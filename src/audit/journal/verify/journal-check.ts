import { createFindings, type JournalFinding } from './finding.ts'
import { createHoles } from './holes.ts'
import type { Vouchers } from './vouchers.ts'
import { createWriterCheck, type WriterCheck } from './writer-check.ts'
import { readWrittenLine, type WrittenLine } from './written-line.ts'

/** What the examination of a journal has shown. */
export interface JournalVerdict {
  /** No findings. Says nothing of the `unanchored` lines but that their chain is whole. */
  readonly ok: boolean
  /** Lines that are events, of all writers. */
  readonly events: number
  /** Lines (events and intents) after the last good checkpoint of their writer: nobody but the chain itself vouches for them. */
  readonly unanchored: number
  /** A writer's journal ends in the middle of a line: a crash, or a server that is just writing. */
  readonly tornTail: boolean
  /** By writer, segment and line; at most the first 1,000 that were found: so many mean that there may be more. */
  readonly findings: readonly JournalFinding[]
}

/** Knows nothing of files: takes lines, and tells what is wrong with them. */
export interface JournalCheck {
  /** One writer after the other. */
  writer(name: string): WriterCheck
  /** After all writers have ended. */
  verdict(): JournalVerdict
}

/** `read`: for whoever examines many variants of one journal, and keeps what he has read. */
export function createJournalCheck(
  vouchers: Vouchers,
  read: (bytes: Buffer) => WrittenLine | null = readWrittenLine,
): JournalCheck {
  const findings = createFindings()
  const holes = createHoles()
  const missing = new Set(vouchers.writers)
  const figures = { events: 0, unanchored: 0, tornTail: false }

  const writer = (name: string): WriterCheck => {
    missing.delete(name)
    const check = createWriterCheck({ writer: name, vouchers, findings, holes, read })
    return Object.freeze({
      ...check,
      end() {
        const own = check.end()
        figures.events += own.events
        figures.unanchored += own.unanchored
        figures.tornTail ||= own.tornTail
        return own
      },
    })
  }
  return Object.freeze({
    writer,
    verdict() {
      for (const name of missing) writer(name).end()
      holes.report(findings)
      const list = Object.freeze(findings.list())
      return Object.freeze({ ok: list.length === 0, ...figures, findings: list })
    },
  })
}
