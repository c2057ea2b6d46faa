import { createAuth, houseOf, type Auth } from '../auth.ts'
import { NotReadyError } from '../errors.ts'
import type { KeyAdmin } from '../keys/lifecycle.ts'
import type { AuthOptions } from '../options/auth-options.ts'
import { fromEnv } from '../options/from-env.ts'
import type { Environment } from '../principal.ts'
import { isScopeToken, SCOPES, type PartnerScopes } from '../scopes.ts'
import { CommandError, EXIT, usage } from './command-error.ts'
import { prepareStore, type CommandStore } from './open-store.ts'
import { packageVersion } from './package-version.ts'
import type { Shell } from './shell.ts'
import { throwStoreFailure } from './store-failure.ts'

export interface KeysNeed {
  /** `create`: a SQLite file is made where there is none. `change`, `create`: the journal must be writable. */
  readonly intent: 'read' | 'change' | 'create'
  /** The partner's own scopes. */
  readonly ownScopes?: readonly string[]
}

export interface OpenKeys {
  readonly admin: KeyAdmin
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
  const auth = await closingOnError(opened, () => createAuth(optionsOf(shell, opened, need.ownScopes ?? [])))
  try {
    if (!opened.exists) announceFile(shell, need)
    await shell.unlessInterrupted(opened.reach()).catch((error: unknown) => rethrow(error, opened.place))
    if (need.intent !== 'read') await openJournal(auth)
    return await use(openKeys(auth, opened))
  } finally {
    await auth.close()
    await opened.close()
  }
}

function optionsOf(shell: Shell, { store }: CommandStore, ownScopes: readonly string[]): AuthOptions {
  const { environment, keys, audit } = fromEnv(shell.env, { store })
  return {
    environment,
    keys,
    audit,
    service: { name: 'hc-auth', version: packageVersion() },
    scopes: ownScopesOf(ownScopes),
  }
}

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

function announceFile(shell: Shell, { intent }: KeysNeed): void {
  if (intent === 'create') {
    shell.narrate('There was no key store at this path: a new one is made.')
    return
  }
  throw new CommandError(
    EXIT.configuration,
    'There is no key store at the path of HEALTHCLOUD_KEY_STORE_URL.\n' +
      'Correct the path (a relative one begins in the current directory); `hc-auth keys create` makes a new store.',
  )
}

function rethrow(error: unknown, place: string): never {
  if (error instanceof CommandError && error.exitCode === EXIT.interrupted) throw error
  throwStoreFailure(error, place)
}

async function openJournal(auth: Auth): Promise<void> {
  const recorder = houseOf(auth)?.recorder
  try {
    // On a test server this opens nothing.
    await recorder?.ready()
  } catch (cause) {
    throw new NotReadyError('JOURNAL_NOT_WRITABLE', {
      problem: `The audit journal cannot be written (${systemCode(cause)}), and a change that is not audited is not made.`,
      remedy: 'Check that HEALTHCLOUD_AUDIT_DIR is on a local volume with space, and that this user may write there.',
      cause,
    })
  }
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
  return Object.freeze({ admin: auth.keys, environment, place, audited })
}

/** What the system calls it: `EACCES`. Its own message holds the path. */
function systemCode(error: unknown): string {
  const code: unknown = error instanceof Error && Object.hasOwn(error, 'code') ? Reflect.get(error, 'code') : undefined
  return typeof code === 'string' ? code : 'a short write'
}
