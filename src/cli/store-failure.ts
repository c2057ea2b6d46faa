import { ConfigError } from '../errors.ts'
import { CommandError, EXIT, type ExitCode } from './command-error.ts'
import { configText } from './explain-error.ts'

interface Failure {
  readonly exitCode: ExitCode
  readonly problem: string
  readonly remedy: string
}

/** First match wins, by `<code> <message>` of what a store rejects with. */
const KINDS: readonly (readonly [form: RegExp, exitCode: ExitCode, remedy: string])[] = [
  [/^(28\w{3}|WRONGPASS|NOAUTH) /, EXIT.configuration, 'Correct user name and password in HEALTHCLOUD_KEY_STORE_URL.'],
  [/^(3D000|3F000) |DB index/, EXIT.configuration, 'Create that database, or correct HEALTHCLOUD_KEY_STORE_URL.'],
  [/^(42501|NOPERM) /, EXIT.configuration, 'Give this user the rights that docs/key-stores.md names.'],
  [/not a SQLite database|read-only|cannot be opened/, EXIT.configuration, ''],
  [/held the lock|holds the lock|held its lock/, EXIT.unreachable, ''],
  [/newer release|newer @healthcloud|is of version|names no version|are gone|evicts keys/, EXIT.failed, ''],
  [/^(MISCONF|OOM|READONLY|WRONGTYPE) |the file is damaged|the disk is full|engine failed/, EXIT.failed, ''],
  // Classes 08, 53, 57 and 58 of SQLSTATE are the server's own trouble; any other is about what was asked.
  [/^(?!08|53|57|58)(?=\w*\d)[0-9A-Z]{5} /, EXIT.failed, 'See what PostgreSQL says, and its log.'],
]

const UNREACHABLE = 'Check that it runs, and the host and port of HEALTHCLOUD_KEY_STORE_URL.'

/** What a store's own error means for whoever runs a command. Its text is the driver's, and holds no record and no key. */
export function failureOfStore(error: unknown): Failure {
  if (error instanceof ConfigError) return { exitCode: EXIT.configuration, problem: configText(error), remedy: '' }
  if (error instanceof CommandError) {
    return { exitCode: error.exitCode, problem: error.message, remedy: UNREACHABLE }
  }
  const problem = messageOf(error)
  const text = `${codeOf(error)} ${problem}`
  const [, exitCode, remedy] = KINDS.find(([form]) => form.test(text)) ?? [null, EXIT.unreachable, UNREACHABLE]
  return { exitCode, problem, remedy }
}

/** @throws {CommandError} that says which store it was. */
export function throwStoreFailure(error: unknown, place: string): never {
  if (error instanceof ConfigError) throw error
  const { exitCode, problem, remedy } = failureOfStore(error)
  const text = `The key store (${place}): ${problem}`
  throw new CommandError(exitCode, remedy === '' ? text : `${text}\n${remedy}`)
}

function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && Object.hasOwn(error, 'code') ? Reflect.get(error, 'code') : undefined
  if (typeof code === 'string') return code
  return /^(?:Redis: )?([A-Z]{3,}) /.exec(error instanceof Error ? error.message : '')?.[1] ?? ''
}

/** Node gives no message where it tried more than one address, but a code. */
function messageOf(error: unknown): string {
  const said = error instanceof Error ? (error.message.split(/[\r\n]/, 1)[0] ?? '') : ''
  const text = said === '' ? codeOf(error) : said
  return text === '' ? 'it failed.' : /[.!?]$/.test(text) ? text : `${text}.`
}
