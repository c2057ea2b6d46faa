import { Command } from 'commander'
import { addAuditCommands } from './audit/commands.ts'
import type { ExitCode } from './command-error.ts'
import { addDoctorCommand } from './doctor/doctor.ts'
import { addKeyCommands } from './keys/commands.ts'
import { packageVersion } from './package-version.ts'
import type { Shell } from './shell.ts'
import { WIDTH } from './text-table.ts'
import { addTokenCommands } from './tokens/commands.ts'

const AFTER = `
Configured by the variables that fromEnv() reads, above all
HEALTHCLOUD_ENVIRONMENT and HEALTHCLOUD_KEY_STORE_URL. API keys are read from
standard input or HEALTHCLOUD_API_KEY, never from arguments.
Exit codes: 0 ok, 1 a check failed, 2 usage, 3 configuration, 4 unreachable.`

export interface Outlet {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** What a command that has run to its end ends with, where that is not 0. */
  readonly end: (code: ExitCode) => void
}

/** Each group of commands adds itself. */
export function createProgram(shell: Shell, { out, err, end }: Outlet): Command {
  const program = new Command('hc-auth')
    .description('API keys, tokens and the audit journal of @healthcloud/auth, and a look at its\nconfiguration')
    .version(packageVersion())
    .exitOverride()
    .configureOutput({
      writeOut: out,
      writeErr: err,
      outputError: () => undefined,
      getOutHelpWidth: () => WIDTH,
      getErrHelpWidth: () => WIDTH,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText('after', AFTER)
  addKeyCommands(program, shell)
  addTokenCommands(program, shell)
  addAuditCommands(program, shell, end)
  addDoctorCommand(program, shell, end)
  return program
}
