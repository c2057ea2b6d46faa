import type { Command } from 'commander'
import { EXIT, type ExitCode } from '../command-error.ts'
import type { Check } from './check.ts'
import { examine } from './checks.ts'
import type { Output } from '../keys/actions.ts'
import type { Shell } from '../shell.ts'
import { printable, WIDTH } from '../text-table.ts'

/** `hc-auth doctor` */
export function addDoctorCommand(program: Command, shell: Shell, end: (code: ExitCode) => void): void {
  program
    .command('doctor')
    .description('check the configuration of this environment, and say what to do')
    .option('--json', 'one JSON document on standard output')
    .action(async ({ json }: Output) => {
      const checks = await examine(shell)
      const code = verdict(checks)
      await shell.print(json === true ? jsonOf(checks, code) : checks.map(linesOf).join('\n'))
      end(code)
    })
}

/** What must be corrected first decides: a configuration that is wrong makes everything behind it doubtful. */
export function verdict(checks: readonly Check[]): ExitCode {
  const codes = new Set(checks.map(({ exitCode }) => exitCode))
  return [EXIT.configuration, EXIT.unreachable, EXIT.failed].find((code) => codes.has(code)) ?? EXIT.ok
}

function jsonOf(checks: readonly Check[], code: ExitCode): string {
  const shown = checks.map(({ name, status, message, remedy }) => ({ name, status, message, remedy }))
  return JSON.stringify({ ok: code === EXIT.ok, checks: shown })
}

const STATUS_WIDTH = 'skipped'.length + 2
const NAME_WIDTH = 'configuration'.length + 2

function linesOf({ name, status, message, remedy }: Check): string {
  const indent = ' '.repeat(STATUS_WIDTH + NAME_WIDTH)
  const texts = remedy === null ? [message] : [message, `→ ${remedy}`]
  const lines = texts.flatMap((text) => wrapped(printable(text), WIDTH - indent.length))
  const [first = '', ...more] = lines
  const head = `${status.padEnd(STATUS_WIDTH)}${name.padEnd(NAME_WIDTH)}${first}`
  return [head, ...more.map((line) => `${indent}${line}`)].join('\n')
}

function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
