import { environmentOf } from '../../keys/format.ts'
import { ownMember } from '../../lib/own-member.ts'
import { usage } from '../command-error.ts'
import type { Shell } from '../shell.ts'

const LOOKS_SECRET = /hc_(live|test)_|^(postgres|postgresql|rediss?):|\beyJ[\w-]+\.[\w-]+\./i

/** A key in an argument is in the history of the shell, and in the process list for everybody on this machine. */
export function refuseSecrets(argv: readonly string[]): void {
  if (!argv.some((each) => LOOKS_SECRET.test(each))) return
  throw usage(
    'A secret must not be an argument: others on this machine can read it, and shells keep it. Treat it as leaked.\n' +
      'API keys are read from standard input or HEALTHCLOUD_API_KEY, the URL of the store from HEALTHCLOUD_KEY_STORE_URL.',
  )
}

/** What the key is wanted for, as an error says it. */
export interface KeyPurpose {
  readonly what: 'to import' | 'to exchange'
  readonly command: string
}

/** A well-formed key: from standard input, or from the environment where nothing is piped in. */
export async function readKey(shell: Shell, { what, command }: KeyPurpose): Promise<string> {
  const piped = shell.isInteractive ? '' : (await shell.readInput()).trim()
  const given = ownMember(shell.env, 'HEALTHCLOUD_API_KEY')
  const named = typeof given === 'string' ? given.trim() : ''
  if (piped !== '' && named !== '' && piped !== named) {
    throw usage('There are two API keys, on standard input and in HEALTHCLOUD_API_KEY. Give one of them.')
  }
  const key = piped === '' ? named : piped
  if (key === '')
    throw usage(
      `There is no API key ${what}. Give it on standard input (${command} … < key.txt), or in HEALTHCLOUD_API_KEY.`,
    )
  if (/\s/.test(key)) throw usage('Standard input holds more than one API key. Give one at a time.')
  if (environmentOf(key) === null) {
    throw usage(
      'What was given is no well-formed API key: hc_live_sk_ or hc_test_sk_, and 16 or 36 characters behind it.',
    )
  }
  return key
}
