import { createAuth, houseOf, type Auth } from '../../auth.ts'
import { ConfigError } from '../../errors.ts'
import { memoryKeyStore } from '../../stores/memory.ts'
import type { AuthOptions } from '../../options/auth-options.ts'
import { nameOfSecret } from '../../options/environment.ts'
import { fromEnv } from '../../options/from-env.ts'
import { CommandError, EXIT } from '../command-error.ts'
import { checkJournal } from './journal.ts'
import { failed, ok, skipped, warning, type Check } from './check.ts'
import { configText } from '../explain-error.ts'
import { prepareStore, STORE_URL, type CommandStore } from '../open-store.ts'
import type { Shell } from '../shell.ts'
import { comingTooSoon } from '../../tokens/key-schedule.ts'
import { failureOfStore } from '../store-failure.ts'
import { within } from '../within.ts'

/** All that `ready()` would need, each for itself, so that one run shows everything that is wrong. Changes nothing. */
export async function examine(shell: Shell): Promise<readonly Check[]> {
  const store = prepare(shell)
  const configured = configure(shell, store)
  const { auth } = configured
  const opened = store instanceof ConfigError ? null : store
  try {
    const storeCheck = await checkStore(shell, store)
    const reached = opened?.exists === true && storeCheck.status === 'ok'
    return [
      configured.check,
      checkPepper(configured.options),
      storeCheck,
      ...checkSigningKeys(auth),
      await checkKeySet(shell, auth, configured.options?.tokens?.jwks === undefined),
      checkJournal(configured.options),
      await checkRotation(shell, reached ? auth : null),
    ]
  } finally {
    await auth?.close()
    await opened?.close()
  }
}

/** `null`: no store is configured, which a server that takes access tokens alone needs not. */
function prepare(shell: Shell): CommandStore | ConfigError | null {
  try {
    return nameOfSecret(shell.env, STORE_URL) === undefined ? null : prepareStore(shell)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
}

interface Configured {
  readonly check: Check
  readonly options: AuthOptions | null
  readonly auth: Auth | null
}

function configure(shell: Shell, store: CommandStore | ConfigError | null): Configured {
  let options: AuthOptions | null = null
  try {
    // In the place of a store that cannot be opened, so that the rest is checked all the same.
    const parts = store === null ? {} : { store: store instanceof ConfigError ? memoryKeyStore() : store.store }
    options = fromEnv(shell.env, parts)
    const auth = createAuth(options)
    return { check: ok('configuration', `environment ${options.environment}, ${kindsOf(options)}`), options, auth }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { check: failed('configuration', EXIT.configuration, { message: configText(error) }), options, auth: null }
  }
}

function kindsOf({ keys, tokens, issuing }: AuthOptions): string {
  const kinds = [...(keys === undefined ? [] : ['API keys']), ...(tokens === undefined ? [] : ['access tokens'])]
  return `takes ${kinds.join(' and ')}${issuing === undefined ? '' : ', mints access tokens'}`
}

function checkPepper(options: AuthOptions | null): Check {
  if (options === null) return skipped('pepper', 'the configuration comes first')
  if (options.keys === undefined) return skipped('pepper', 'no API keys are configured')
  const { pepper } = options.keys
  if (pepper === undefined) {
    return warning(
      'pepper',
      'none is set: whoever can write to the store can plant a key',
      'Set HEALTHCLOUD_KEY_PEPPER to <id>:<base64 of 32 random bytes>, with ,sha256 behind it as long as keys made without it are in use.',
    )
  }
  const ids = typeof pepper === 'string' ? ['default'] : pepper.map((each) => (each === 'sha256' ? each : each.id))
  if (!ids.includes('sha256')) return ok('pepper', `new keys get ${ids[0] ?? ''}; looked up: ${ids.join(', ')}`)
  return warning(
    'pepper',
    `keys without a pepper count as well (${ids.join(', ')})`,
    'Take sha256 off HEALTHCLOUD_KEY_PEPPER when no key without a pepper is in use any more.',
  )
}

async function checkStore(shell: Shell, store: CommandStore | ConfigError | null): Promise<Check> {
  if (store === null) return skipped('key store', `${STORE_URL} is not set`)
  if (store instanceof ConfigError) return failed('key store', EXIT.configuration, { message: store.message })
  if (!store.exists) {
    return warning(
      'key store',
      `${store.place}: there is no such file yet`,
      'Correct the path in HEALTHCLOUD_KEY_STORE_URL, or make the first key: hc-auth keys create',
    )
  }
  try {
    await shell.unlessInterrupted(store.reach())
    return ok('key store', `${store.place}: answers, and its tables are of a known version`)
  } catch (error) {
    if (isInterrupt(error)) throw error
    const { exitCode, problem, remedy } = failureOfStore(error)
    return failed('key store', exitCode, { message: `${store.place}: ${problem}`, remedy })
  }
}

/** Only where tokens are minted: elsewhere there is nothing to say. */
function checkSigningKeys(auth: Auth | null): readonly Check[] {
  const issuer = auth === null ? null : (houseOf(auth)?.issuer ?? null)
  if (issuer === null) return []
  const now = Date.now()
  const { keys } = issuer.schedule
  const next = keys.find(({ from }) => from > now)
  const soon = comingTooSoon(keys, issuer.keySetMaxAgeSeconds * 2, now)[0]
  const successor = next === undefined ? '' : `, ${next.kid} from ${new Date(next.from).toISOString()} on`
  const message = `${issuer.schedule.signing(now).kid} signs${successor}`
  if (soon === undefined) return [ok('signing key', message)]
  return [
    warning(
      'signing key',
      message,
      'Choose a later instant, unless that key was published before: verifiers must read it first.',
    ),
  ]
}

async function checkKeySet(shell: Shell, auth: Auth | null, isOwn: boolean): Promise<Check> {
  if (auth === null) return skipped('key set', 'the configuration comes first')
  const tokens = houseOf(auth)?.tokens ?? null
  if (tokens === null) return skipped('key set', 'no access tokens are configured')
  try {
    const ready = within(tokens.ready(AbortSignal.timeout(5000)), 'no answer within 5 seconds.')
    await shell.unlessInterrupted(ready)
    const { keys } = tokens.health()
    const place = isOwn ? 'of HEALTHCLOUD_SIGNING_KEY' : 'at HEALTHCLOUD_JWKS_URL'
    return ok('key set', `${keys} usable ${keys === 1 ? 'key' : 'keys'} ${place}`)
  } catch (error) {
    if (isInterrupt(error)) throw error
    const remedy = 'Check HEALTHCLOUD_JWKS_URL, that the issuer runs, and that this machine may reach it.'
    return failed('key set', EXIT.unreachable, { message: 'no usable key set could be loaded', remedy })
  }
}

async function checkRotation(shell: Shell, auth: Auth | null): Promise<Check> {
  if (auth === null) return skipped('rotation', 'no keys to look at')
  try {
    const { length } = await shell.unlessInterrupted(auth.keys.rotationDue())
    if (length === 0) return ok('rotation', 'no active key is older than 90 days')
    const what = length === 1 ? '1 active key is' : `${length} active keys are`
    return warning('rotation', `${what} older than 90 days`, 'List them with hc-auth keys due, and rotate them.')
  } catch (error) {
    if (isInterrupt(error)) throw error
    const { exitCode, problem } = failureOfStore(error)
    return failed('rotation', exitCode, { message: problem })
  }
}

function isInterrupt(error: unknown): boolean {
  return error instanceof CommandError && error.exitCode === EXIT.interrupted
}
