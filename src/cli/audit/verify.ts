import { segmentPath } from '../../audit/journal/lines.ts'
import { verifyJournal, type JournalFinding, type JournalVerdict } from '../../audit/journal/verify.ts'
import { auditDirectory, unreadable, type DirectoryOptions } from './directory.ts'
import { readCheckpoints, readPublicKeys, type GivenCheckpoints } from './vouchers.ts'
import { terminalSafe } from './output.ts'
import { EXIT, usage, type ExitCode } from '../command-error.ts'
import type { Output } from '../keys/actions.ts'
import type { Shell } from '../shell.ts'

export interface VerifyOptions extends DirectoryOptions, Output {
  readonly publicKey?: readonly string[]
  readonly checkpoints?: string
}

/** `hc-auth audit verify` */
export async function verifyAudit(shell: Shell, options: VerifyOptions): Promise<ExitCode> {
  const directory = auditDirectory(shell, options)
  const publicKeys = options.publicKey === undefined ? undefined : readPublicKeys(shell, options.publicKey)
  const given = options.checkpoints === undefined ? undefined : await readCheckpoints(shell, options.checkpoints)
  const verifying = verifyJournal(directory, { publicKeys, checkpoints: given?.checkpoints })
  const verdict = await shell.unlessInterrupted(verifying).catch((error: unknown) => refuse(error, given))
  if (options.json === true) await shell.print(terminalSafe(JSON.stringify(verdict)))
  else {
    await shell.print(verdictText(verdict))
    for (const note of notesOf(verdict, options)) shell.narrate(note)
  }
  return verdict.ok ? EXIT.ok : EXIT.failed
}

/** A checkpoint that is none was given by whoever runs this; all else is about the journal. */
function refuse(error: unknown, given: GivenCheckpoints | undefined): never {
  const [, index] = (error instanceof TypeError ? /`checkpoints\[(\d+)\]`/.exec(error.message) : null) ?? []
  if (index === undefined || given === undefined) throw unreadable(error)
  throw usage(
    `--checkpoints: line ${given.lines[Number(index)] ?? 0} is no audit.checkpoint event as a sink received it.`,
  )
}

function verdictText({ ok, events, unanchored, tornTail, findings }: JournalVerdict): string {
  const found = findings.length === 1 ? '1 finding' : `${findings.length} findings`
  return [
    ...findings.map(findingText),
    ...(ok ? [`Intact: ${countOf(events, 'event')}.`] : [`Not intact: ${found} in ${countOf(events, 'event')}.`]),
    ...(unanchored === 0
      ? []
      : [
          `${countOf(unanchored, 'line')} after the last checkpoint: no signature says yet that none of them`,
          'was cut off or rewritten as a whole.',
        ]),
    ...(tornTail ? ['A last line is cut off in the middle, as by a crash: that is no failure.'] : []),
  ].join('\n')
}

function findingText({ writer, segment, line, kind }: JournalFinding): string {
  return `${segmentPath(writer, segment)}:${line}  ${kind}`
}

function countOf(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`
}

function notesOf({ events }: JournalVerdict, { publicKey, checkpoints }: VerifyOptions): readonly string[] {
  return [
    ...(events === 0 ? ['There is no event in this journal.'] : []),
    ...(publicKey === undefined ? ['Signatures were not checked: give --public-key.'] : []),
    ...(checkpoints === undefined
      ? ['Whole writers may be missing: give --checkpoints, as a sink received them, to find out.']
      : []),
  ]
}
