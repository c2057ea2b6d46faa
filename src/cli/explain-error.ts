import { CommanderError } from 'commander'
import {
  ConfigError,
  ExchangeError,
  KeyError,
  KeyStateError,
  NotReadyError,
  StoreCapabilityError,
  StoreConflict,
} from '../errors.ts'
import { ClosedOutput, CommandError, EXIT, type ExitCode } from './command-error.ts'

/** What ends a command: an exit code, and one or two lines for people; `null`: nothing more is to be said. */
export interface Explanation {
  readonly exitCode: ExitCode
  readonly text: string | null
}

/** Where a member of a request came from. */
const SOURCES: ReadonlyMap<string, string> = new Map([
  ['organizationId', '--org'],
  ['name', '--name'],
  ['scopes', '--scope'],
  ['allowedCidrs', '--cidr'],
  ['expiresAt', '--expires'],
  ['by', '--by'],
  ['graceSeconds', '--grace'],
  ['reason', '--reason'],
  ['afterDays', '--days'],
  ['after', '--after'],
  ['limit', '--limit'],
  ['id', 'The id'],
  ['key', 'The API key'],
  ['jti', '--jti'],
])

/** Which variable an option is read from. */
const VARIABLES: readonly (readonly [option: RegExp, variable: string])[] = [
  [/^environment$/, 'HEALTHCLOUD_ENVIRONMENT'],
  [/^audit\.directory$/, 'HEALTHCLOUD_AUDIT_DIR'],
  [/^audit\.pseudonymKeys/, 'HEALTHCLOUD_AUDIT_PSEUDONYM_KEY'],
  [/^keys\.pepper/, 'HEALTHCLOUD_KEY_PEPPER'],
  [/^keys$|^sqliteKeyStore/, 'HEALTHCLOUD_KEY_STORE_URL'],
  [/^issuing\.signingKeys/, 'HEALTHCLOUD_SIGNING_KEY'],
  [/^(tokens|issuing)\.issuer$/, 'HEALTHCLOUD_ISSUER'],
  [/^(tokens|issuing)\.audience/, 'HEALTHCLOUD_AUDIENCE'],
  [/^tokens\.jwks/, 'HEALTHCLOUD_JWKS_URL'],
]

export function explain(error: unknown): Explanation {
  if (error instanceof ClosedOutput) return { exitCode: EXIT.ok, text: null }
  if (error instanceof CommanderError) return explainCommander(error)
  if (error instanceof CommandError) return { exitCode: error.exitCode, text: error.message }
  if (error instanceof ConfigError) return { exitCode: EXIT.configuration, text: configText(error) }
  if (error instanceof KeyError) return explainKeyError(error)
  if (error instanceof ExchangeError) return explainExchange(error)
  if (error instanceof KeyStateError) return { exitCode: EXIT.failed, text: error.message }
  if (error instanceof NotReadyError) {
    const exitCode = error.code === 'JOURNAL_NOT_WRITABLE' ? EXIT.configuration : EXIT.unreachable
    return { exitCode, text: error.message }
  }
  if (error instanceof StoreCapabilityError) return { exitCode: EXIT.configuration, text: error.message }
  if (error instanceof StoreConflict) {
    return { exitCode: EXIT.failed, text: 'Somebody else has changed this key meanwhile. Look at it, and try again.' }
  }
  return { exitCode: EXIT.failed, text: unexpected(error) }
}

/** The text of the error, and the variable where that is not what it names itself. */
export function configText(error: ConfigError): string {
  const variable = VARIABLES.find(([option]) => option.test(error.option))?.[1]
  return variable === undefined ? error.message : `${error.message}\nIt is read from ${variable}.`
}

function explainKeyError({ code, member, message }: KeyError): Explanation {
  const [, name = '', index] = /^(\w+)(?:\[(\d+)\])?$/.exec(member) ?? []
  const isRefused = code === 'KEY_EXISTS' || name === 'record'
  const source = SOURCES.get(name) ?? name
  const place = index === undefined ? source : `${source} (number ${Number(index) + 1})`
  return { exitCode: isRefused ? EXIT.failed : EXIT.usage, text: `${place}: ${message.slice(member.length + 2)}` }
}

/** 400, 401 and 403 are about the key and its scopes; any other refusal means that this is not the token endpoint. */
function explainExchange({ code, issuerStatus, message }: ExchangeError): Explanation {
  const isAboutKey = code === 'EXCHANGE_REFUSED' && [400, 401, 403].includes(issuerStatus ?? 0)
  const otherwise = code === 'EXCHANGE_UNAVAILABLE' ? EXIT.unreachable : EXIT.configuration
  const text = message.replaceAll('`url`', 'its URL').replaceAll('`scopes`', '--scope').replaceAll('`key`', 'the key')
  return { exitCode: isAboutKey ? EXIT.failed : otherwise, text }
}

/** Help that was asked for is no error; help that is shown for want of a command is one. */
function explainCommander(error: CommanderError): Explanation {
  if (error.code === 'commander.helpDisplayed' || error.code === 'commander.version') {
    return { exitCode: EXIT.ok, text: null }
  }
  if (error.code === 'commander.help') {
    return { exitCode: error.exitCode === 0 ? EXIT.ok : EXIT.usage, text: null }
  }
  const [problem = '', guess] = error.message.replace(/^error: /, '').split('\n')
  const text = problem.replace(/'([^']*)'/g, quoted)
  const hint = guess?.replace(/^\((.*)\)$/, '$1') ?? 'See hc-auth --help.'
  return { exitCode: EXIT.usage, text: `${text.charAt(0).toUpperCase()}${text.slice(1)}. ${hint}` }
}

/** What somebody typed may be a secret in the wrong place: only what looks like a command or an option is repeated. */
function quoted(_whole: string, text: string): string {
  const [, shown] = /^((?:--?)?[a-z]{1,12}(?:-[a-z]{1,12}){0,2}(?: <[a-z]+>)?)(?:=.*)?$/s.exec(text) ?? []
  return shown ?? '(not shown)'
}

function unexpected(error: unknown): string {
  const said = error instanceof Error ? `${error.name}: ${error.message.split('\n', 1)[0] ?? ''}` : 'no error at all'
  return `Something went wrong that this program does not know (${said}).`
}
