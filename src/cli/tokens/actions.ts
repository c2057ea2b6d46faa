import { ConfigError } from '../../errors.ts'
import { exchangeKey, type KeyExchange } from '../../exchange-key/exchange-key.ts'
import { ownMember } from '../../lib/own-member.ts'
import type { Scope } from '../../scopes.ts'
import { generateSigningKey } from '../../tokens/generate-signing-key.ts'
import { CommandError, EXIT, usage } from '../command-error.ts'
import type { Output } from '../keys/actions.ts'
import { told } from '../keys/work.ts'
import { withKeys } from '../keys/open-keys.ts'
import { operatorOf } from '../operator.ts'
import { readKey } from '../keys/read-key.ts'
import { readInstant } from '../read-values.ts'
import type { Shell } from '../shell.ts'
import { within } from '../within.ts'

export interface ExchangeOptions extends Output {
  readonly scope?: readonly string[]
  readonly url?: string
}

/** The access token alone on its line, so that a script can take it. */
export async function exchange(shell: Shell, options: ExchangeOptions): Promise<void> {
  const { scope: wanted } = options
  if (wanted === undefined) throw usage('Required option --scope <scope> not specified. See hc-auth --help.')
  const url = urlOf(shell, options)
  const key = await readKey(shell, { what: 'to exchange', command: 'hc-auth token' })
  const { accessToken, expiresAt, scopes } = await shell.unlessInterrupted(
    exchangeOf({ url, scopes: wanted, key }).token(),
  )
  const end = expiresAt.toISOString()
  if (options.json !== true) shell.narrate(`A token for ${scopes.join(', ')}, until ${end}.`)
  await handOver(
    shell,
    options.json === true ? JSON.stringify({ accessToken, expiresAt: end, scopes }) : accessToken,
    'Standard output could not be written: nobody has the token. It ends by itself.',
  )
}

export interface GenerateOptions extends Output {
  readonly bits: '2048' | '3072'
  readonly pem?: boolean
}

export async function generate(shell: Shell, options: GenerateOptions): Promise<void> {
  const { kid, bits, jwk, pem } = await shell.unlessInterrupted(
    generateSigningKey(options.bits === '3072' ? 3072 : 2048),
  )
  if (options.json !== true) {
    shell.narrate(
      `A private RSA key of ${bits} bits, kid ${kid}.\nThis is the key, this once and never again: keep it secret.`,
    )
  }
  const form = options.pem === true ? { pem } : { jwk }
  const plain = options.pem === true ? pem.trimEnd() : JSON.stringify(jwk)
  await handOver(
    shell,
    options.json === true ? JSON.stringify({ kid, bits, ...form }) : plain,
    'Standard output could not be written: nobody has the key. Make another.',
  )
}

export interface RevokeTokenOptions extends Output {
  readonly jti: string
  readonly expires?: string
  readonly by?: string
}

/** Beyond its expiry, as long as a verifier of ours may take a token. */
const TOLERANCE_MS = 60_000
const LATE = 'did not answer within 5 seconds: nobody knows whether the token is revoked. Do it again, it does no harm.'

export async function revokeToken(shell: Shell, options: RevokeTokenOptions): Promise<void> {
  const by = operatorOf(shell.env, options.by)
  const expiresAt = expiryOf(options)
  const { jti } = options
  await withKeys(shell, { intent: 'change' }, async (keys) => {
    shell.goOn()
    const revoking = () => keys.tokens.revoke({ jti, by, ...(expiresAt === null ? {} : { expiresAt }) })
    await told(keys, () => within(revoking(), LATE))
    if (options.json === true) {
      await shell.print(JSON.stringify({ revocation: { jti, expiresAt: expiresAt?.toISOString() ?? null, by } }))
    } else shell.narrate(`Revoked the token ${shown(jti)}.`)
    await keys.audited()
  })
}

function expiryOf({ expires }: RevokeTokenOptions): Date | null {
  if (expires === undefined) return null
  const now = Date.now()
  const date = readInstant('--expires', expires, now)
  // It would be forgotten at once, and a token whose expiry was mistaken would go on.
  if (date.getTime() + TOLERANCE_MS < now) {
    throw usage('--expires: is past: such a token has ended by itself. Leave it out if you do not know it.')
  }
  return date
}

function shown(jti: string): string {
  return /^[\x21-\x7e]{1,64}$/.test(jti) ? jti : 'with this jti'
}

/** The option decides, then the variable: each has an exit code of its own. */
function urlOf(
  { env }: Shell,
  { url }: ExchangeOptions,
): { readonly text: string; readonly from: '--url' | typeof TOKEN_URL } {
  if (url !== undefined) return { text: url, from: '--url' }
  const named = ownMember(env, TOKEN_URL)
  if (typeof named === 'string' && named.trim() !== '') return { text: named.trim(), from: TOKEN_URL }
  throw usage(`There is no token endpoint. Give --url https://…/v1/auth/token, or set ${TOKEN_URL}.`)
}

const TOKEN_URL = 'HEALTHCLOUD_TOKEN_URL'

interface Wanted {
  readonly url: ReturnType<typeof urlOf>
  readonly scopes: readonly string[]
  readonly key: string
}

/** The issuer alone knows which scopes there are. @throws {CommandError} that names where the mistake was made. */
function exchangeOf({ url, scopes, key }: Wanted): KeyExchange {
  try {
    return exchangeKey({ url: url.text, key, scopes: scopes as readonly Scope[] })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const [, member = '', index] = /^exchangeKey\.(\w+)(?:\[(\d+)\])?$/.exec(error.option) ?? []
    const problem = error.message.slice(error.option.length + 2, -error.remedy.length)
    if (member === 'scopes') {
      const place = index === undefined ? '--scope' : `--scope (number ${Number(index) + 1})`
      throw usage(`${place}: ${problem}Give scopes such as read:patients.`)
    }
    const exitCode = url.from === '--url' ? EXIT.usage : EXIT.configuration
    throw new CommandError(exitCode, `${url.from}: ${problem}${error.remedy.replace('`key`', 'the API key')}`)
  }
}

/** Whoever has closed standard output has not got it, and must not go on as if. */
async function handOver(shell: Shell, text: string, lost: string): Promise<void> {
  try {
    await shell.print(text)
  } catch {
    throw new CommandError(EXIT.failed, lost)
  }
}
