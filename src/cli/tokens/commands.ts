import { Option, type Command } from 'commander'
import { nearest } from '../keys/check-scopes.ts'
import { usage, type CommandError } from '../command-error.ts'
import { collect } from '../read-values.ts'
import type { Shell } from '../shell.ts'
import {
  exchange,
  generate,
  revokeToken,
  type ExchangeOptions,
  type GenerateOptions,
  type RevokeTokenOptions,
} from './actions.ts'

/** Of the default command, whose options the help of the group does not list. */
const EXAMPLE = `
Example: hc-auth token --scope read:patients --url https://… < key.txt`

/** `hc-auth token …`; without a further word, `hc-auth token exchange`. */
export function addTokenCommands(program: Command, shell: Shell): void {
  const token = program
    .command('token')
    .description('exchange an API key for a token; make signing keys; revoke tokens')
    .addHelpText('after', EXAMPLE)
  json(
    token
      .command('exchange', { isDefault: true })
      .description('exchange the API key of standard input or HEALTHCLOUD_API_KEY; the token goes to standard output')
      .argument('[word]')
      .usage('[options]')
      .option('--scope <scope>', 'required: what the token is for; repeated, or separated by commas', collect)
      .option('--url <url>', 'the token endpoint; default: HEALTHCLOUD_TOKEN_URL'),
  ).action(async (word: string | undefined, options: ExchangeOptions) => {
    if (word !== undefined) throw unknownWord(word)
    await exchange(shell, options)
  })
  json(
    token
      .command('keygen')
      .description('make a private key that signs tokens; it goes to standard output, this once, as a JWK')
      .addOption(new Option('--bits <count>', 'length of the RSA key').choices(['2048', '3072']).default('2048'))
      .option('--pem', 'as PEM (PKCS#8, unencrypted)'),
  ).action(async (options: GenerateOptions) => generate(shell, options))
  json(
    token
      .command('revoke')
      .description('end one token before its time')
      .requiredOption('--jti <id>', 'claim jti of the token; never the token itself')
      .option('--expires <when>', 'when it expires: date, instant or time from now; default: the longest there is')
      .option('--by <who>', 'who does this, for the audit event; default: HEALTHCLOUD_OPERATOR, or user@host'),
  ).action(async (options: RevokeTokenOptions) => revokeToken(shell, options))
}

/** To the default command a misspelt one is an argument. */
function unknownWord(word: string): CommandError {
  const shown = /^[a-z]{1,12}$/.test(word) ? word : '(not shown)'
  const meant = nearest(word, ['exchange', 'keygen', 'revoke'])
  return usage(`Unknown command ${shown}. ${meant === null ? 'See hc-auth --help.' : `Did you mean ${meant}?`}`)
}

function json(command: Command): Command {
  return command.option('--json', 'one JSON document on standard output')
}
