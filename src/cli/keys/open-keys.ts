import { createAuth, houseOf, type Auth } from '../../auth.ts'
import type { KeyAdmin } from '../../keys/lifecycle.ts'
import type { AuthOptions, TokensOptions } from '../../options/auth-options.ts'
import { fromEnv } from '../../options/from-env.ts'
import type { Environment } from '../../principal.ts'
import type { TokenAdmin } from '../../issuing/token-admin.ts'
import { isScopeToken, SCOPES, type PartnerScopes } from '../../scopes.ts'
import { CommandError, EXIT, usage } from '../command-error.ts'
import { prepareStore, type CommandStore } from '../open-store.ts'
import { packageVersion } from '../package-version.ts'
import type { Shell } from '../shell.ts'
import { throwStoreFailure } from '../store-failure.ts'
import { existingFolder, systemCode, whyNotWritable } from '../writable-folder.ts'

export interface KeysNeed {
  /** `create`: a SQLite file is made where there is none. `change`, `create`: the journal must be writable. */
  readonly intent: 'read' | 'change' | 'create'
  /** The partner's own scopes. */
  readonly ownScopes?: readonly string[]
}

export interface OpenKeys {
  readonly admin: KeyAdmin
  readonly tokens: TokenAdmin
  readonly environment: Environment
  readonly place: string
  /** What was changed is in the journal. @throws {CommandError} where it is not. */
  readonly audited: () => Promise<void>
}

/**
 * Opens `auth.keys` as the environment configures it, and closes all of it in any case. Everything is checked before
 * anything is opened. Access tokens play no part: a key set that is out of reach holds back no change of keys.
 */
export async function withKeys<T>(shell: Shell, need: KeysNeed, use: (keys: OpenKeys) => Promise<T>): Promise<T> {
  const opened = prepareStore(shell)
  const auth = await closingOnError(opened, () => openable(shell, need, opened))
  try {
    await shell.unlessInterrupted(opened.reach()).catch((error: unknown) => rethrow(error, opened.place))
    if (!opened.exists) shell.narrate('There was no key store at this path: a new one was made.')
    if (need.intent !== 'read') await openJournal(auth)
    return await use(openKeys(auth, opened))
  } finally {
    await auth.close()
    await opened.close()
  }
}

function openable(shell: Shell, { intent, ownScopes = [] }: KeysNeed, opened: CommandStore): Auth {
  const options = optionsOf(shell, opened, ownScopes)
  const auth = createAuth(options)
  if (!opened.exists && intent !== 'create') throw noFile()
  const directory = options.environment === 'live' ? options.audit?.directory : undefined
  const problem = intent === 'read' || directory === undefined ? null : whyNotWritable(existingFolder(directory))
  if (problem !== null) throw notWritable(problem)
  return auth
}

function optionsOf(shell: Shell, { store }: CommandStore, ownScopes: readonly string[]): AuthOptions {
  const { environment, keys, audit } = fromEnv(shell.env, { store })
  return {
    environment,
    keys,
    audit,
    tokens: ANY_TOKENS,
    service: { name: 'hc-auth', version: packageVersion() },
    scopes: ownScopesOf(ownScopes),
  }
}

/**
 * Nothing is verified here, nor fetched. A revocation must outlive every token that any server takes, whatever the life and the
 * tolerance that it is configured with: these are the longest.
 */
const ANY_TOKENS: TokensOptions = Object.freeze({
  issuer: 'hc-auth',
  audience: 'hc-auth',
  jwks: 'https://localhost/',
  maxLifetimeSeconds: 86_400,
  clockToleranceSeconds: 60,
  issuingKeyCheck: 'never',
})

function ownScopesOf(names: readonly string[]): PartnerScopes {
  if (!names.every(isScopeToken)) {
    throw usage('--allow-scope: expected a scope: 1 to 128 printable ASCII characters without spaces, quotes and \\.')
  }
  const own = names.filter((name) => !Object.hasOwn(SCOPES, name))
  const entries = own.map((name) => [name, { description: 'A scope of your own', level: 'Standard' }] as const)
  return Object.fromEntries(entries) as unknown as PartnerScopes
}

async function closingOnError(opened: CommandStore, make: () => Auth): Promise<Auth> {
  try {
    return make()
  } catch (error) {
    await opened.close()
    throw error
  }
}

function noFile(): CommandError {
  return new CommandError(
    EXIT.configuration,
    'There is no key store at the path of HEALTHCLOUD_KEY_STORE_URL.\n' +
      'Correct the path (a relative one begins in the current directory), or make a new store: hc-auth keys create',
  )
}

function rethrow(error: unknown, place: string): never {
  if (error instanceof CommandError && error.exitCode === EXIT.interrupted) throw error
  throwStoreFailure(error, place)
}

async function openJournal(auth: Auth): Promise<void> {
  try {
    // On a test server this opens nothing.
    await houseOf(auth)?.recorder.ready()
  } catch (error) {
    throw notWritable(systemCode(error))
  }
}

function notWritable(problem: string): CommandError {
  return new CommandError(
    EXIT.configuration,
    `The audit journal cannot be written (${problem}), and a change that cannot be audited is not made.\n` +
      'Check that HEALTHCLOUD_AUDIT_DIR is on a local volume with space, and that this user may write there.',
  )
}

function openKeys(auth: Auth, { place }: CommandStore): OpenKeys {
  const environment = auth.health().environment
  const audited = async () => {
    try {
      await auth.audit.flush()
    } catch {
      throw new CommandError(
        EXIT.failed,
        'The change is made, but its audit event could not be written: the journal failed meanwhile.\n' +
          'Note the change, with its time, where your auditors will find it.',
      )
    }
  }
  return Object.freeze({ admin: auth.keys, tokens: auth.tokens, environment, place, audited })
}
