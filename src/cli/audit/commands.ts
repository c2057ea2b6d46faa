import { Option, type Command } from 'commander'
import { exportAudit, type ExportOptions } from './export.ts'
import { queryAudit, type QueryOptions } from './query.ts'
import { summarizeAudit, type SummaryOptions } from './summary.ts'
import { tailAudit, type TailOptions } from './tail.ts'
import { verifyAudit, type VerifyOptions } from './verify.ts'
import type { ExitCode } from '../command-error.ts'
import { collect } from '../read-values.ts'
import type { Shell } from '../shell.ts'

type End = (code: ExitCode) => void

/** `hc-auth audit …` */
export function addAuditCommands(program: Command, shell: Shell, end: End): void {
  const audit = program.command('audit').description('check, read, search, export and review the audit journal')
  addVerify(audit, shell, end)
  addReading(audit, shell, end)
  addExport(audit, shell, end)
  addSummary(audit, shell, end)
}

function addVerify(audit: Command, shell: Shell, end: End): void {
  directory(audit.command('verify').description('find out whether the journal was altered'))
    .option('--public-key <file>', 'of audit.signingKey, PEM or JWK; repeated: older ones', repeat)
    .option('--checkpoints <file>', 'audit.checkpoint events as a sink received them, one a line')
    .option('--json', 'one JSON document on standard output')
    .action(async (options: VerifyOptions) => end(await verifyAudit(shell, options)))
}

/** Paths may hold commas. */
function repeat(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

function addReading(audit: Command, shell: Shell, end: End): void {
  filtered(
    directory(audit.command('tail').description('show the last events of all writers'))
      .option('-n, --lines <count>', 'how many', '20')
      .option('-f, --follow', 'go on with new events, until Ctrl-C'),
  )
    .option('--json', 'one JSON document a line: the event')
    .action(async (options: TailOptions) => end(await tailAudit(shell, options)))
  filtered(directory(audit.command('query').description('search events, in the order in which they were recorded')))
    .option('--json', 'one JSON document a line: the event')
    .action(async (options: QueryOptions) => end(await queryAudit(shell, options)))
}

function addExport(audit: Command, shell: Shell, end: End): void {
  filtered(
    directory(audit.command('export').description('write events out for other programs'))
      .addOption(
        new Option('--format <name>', 'exact lines, a table, or FHIR R4 AuditEvents, one a line')
          .choices(['ndjson', 'csv', 'fhir'])
          .makeOptionMandatory(),
      )
      .option('--output <file>', 'a file, written whole or not at all; default: standard output'),
  )
    .option('--json', 'with --output: one JSON document on standard output')
    .action(async (options: ExportOptions) => end(await exportAudit(shell, options)))
}

function addSummary(audit: Command, shell: Shell, end: End): void {
  directory(audit.command('summary').description('what each key did, beside the mean of the weeks before'))
    .option('--since <when>', 'date, instant, or how long ago', '7d')
    .option('--until <when>', 'likewise; default: now')
    .option('--json', 'one JSON document on standard output')
    .action(async (options: SummaryOptions) => end(await summarizeAudit(shell, options)))
}

function directory(command: Command): Command {
  return command.option('--directory <path>', 'of the journal; default: HEALTHCLOUD_AUDIT_DIR')
}

function filtered(command: Command): Command {
  return command
    .option('--since <when>', 'received from then on: date, instant, or how long ago (7d)')
    .option('--until <when>', 'received before')
    .option('--key <id>', 'used by this key, or changed it; repeated: any of them', collect)
    .option('--org <id>', 'of this organization')
    .option('--patient <reference>', 'names this patient: Patient/123; - reads it')
    .option('--outcome <word>', 'success, denied, error, aborted, interrupted', collect)
    .option('--reason <word>', 'why it did not succeed, such as key_unknown', collect)
    .option('--kind <word>', 'access, auth, admin, system', collect)
    .option('--name <word>', 'such as request, key.rotate, audit.gap', collect)
    .option('--route <template>', 'exactly this route')
    .option('--request-id <id>', 'exactly this request')
    .option('--ip <address>', 'from this address')
    .option('--jti <id>', 'with this token')
    .option('--id <id>', 'this event, and what continues it')
}
