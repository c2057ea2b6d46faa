import { readFileSync } from 'node:fs'
import { ConfigError } from '../errors.ts'
import type { KeyStore } from '../keys/store.ts'
import type { AuditOptions, AuthOptions, KeysOptions, NamedSecret, TokensOptions } from './auth-options.ts'

type Env = Readonly<Record<string, string | undefined>>

/** What the environment cannot hold. */
export interface FromEnvParts {
  /** The key store; `HEALTHCLOUD_KEY_PEPPER` is used with it. */
  readonly store?: KeyStore | undefined
}

/**
 * Options from `HEALTHCLOUD_ENVIRONMENT`, `_ISSUER`, `_AUDIENCE`, `_JWKS_URL`, `_KEY_PEPPER`, `_AUDIT_DIR` and
 * `_AUDIT_PSEUDONYM_KEY`; each secret also as `…_FILE`, the path of a file that holds it. Secrets are
 * `id:base64[,id:base64…]`; a pepper list may end with `sha256`.
 * @throws {ConfigError} where a variable is malformed or a file cannot be read; the value is never repeated.
 */
export function fromEnv(env: Env = process.env, parts: FromEnvParts = {}): AuthOptions {
  const environment = text(env, 'HEALTHCLOUD_ENVIRONMENT')
  if (environment !== 'live' && environment !== 'test') {
    const [code, problem] =
      environment === undefined
        ? (['CONFIG_MISSING', 'is not set.'] as const)
        : (['CONFIG_INVALID', 'is not valid.'] as const)
    throw new ConfigError(code, 'HEALTHCLOUD_ENVIRONMENT', { problem, remedy: "Set it to 'live' or 'test'." })
  }
  if (text(env, 'HEALTHCLOUD_KEY_STORE_URL') !== undefined) {
    throw new ConfigError('CONFIG_UNSUPPORTED', 'HEALTHCLOUD_KEY_STORE_URL', {
      problem: 'names a store, but this version brings none that has a URL.',
      remedy: 'Unset it, and hand a store in: fromEnv(process.env, { store }).',
    })
  }
  const store = Object.hasOwn(parts, 'store') ? parts.store : undefined
  const keys = store === undefined ? undefined : keysOf(env, store)
  const tokens = tokensOf(env)
  const audit = auditOf(env)
  return {
    environment,
    ...(keys === undefined ? {} : { keys }),
    ...(tokens === undefined ? {} : { tokens }),
    ...(audit === undefined ? {} : { audit }),
  }
}

function keysOf(env: Env, store: KeyStore): KeysOptions {
  const pepper = secrets(env, 'HEALTHCLOUD_KEY_PEPPER')
  return pepper === undefined ? { store } : { store, pepper }
}

function tokensOf(env: Env): TokensOptions | undefined {
  const names = ['HEALTHCLOUD_ISSUER', 'HEALTHCLOUD_AUDIENCE', 'HEALTHCLOUD_JWKS_URL'] as const
  const [issuer, audience, jwks] = names.map((name) => text(env, name))
  if (issuer === undefined && audience === undefined && jwks === undefined) return undefined
  if (issuer === undefined || audience === undefined || jwks === undefined) {
    const missing = names.find((name) => text(env, name) === undefined) ?? names[0]
    throw new ConfigError('CONFIG_MISSING', missing, {
      problem: 'is not set.',
      remedy: `Set ${names.join(', ')} together, or none of them.`,
    })
  }
  return { issuer, audience: audience.split(',').map((each) => each.trim()), jwks }
}

function auditOf(env: Env): AuditOptions | undefined {
  const directory = text(env, 'HEALTHCLOUD_AUDIT_DIR')
  const keys = secrets(env, 'HEALTHCLOUD_AUDIT_PSEUDONYM_KEY')
  if (directory === undefined && keys === undefined) return undefined
  const pseudonymKeys = keys?.filter((each): each is NamedSecret => each !== 'sha256')
  return {
    ...(directory === undefined ? {} : { directory }),
    ...(pseudonymKeys === undefined ? {} : { pseudonymKeys }),
  }
}

/** An empty variable is an unset one. */
function text(env: Env, name: string): string | undefined {
  const value = Object.hasOwn(env, name) ? env[name]?.trim() : undefined
  return value === '' ? undefined : value
}

function secrets(env: Env, name: string): (NamedSecret | 'sha256')[] | undefined {
  const source = secretSource(env, name)
  if (source === undefined) return undefined
  return source.text.split(',').map((part) => {
    const each = part.trim()
    if (each === 'sha256' && name === 'HEALTHCLOUD_KEY_PEPPER') return each
    const [id, secret, ...rest] = each.split(':')
    if (id !== undefined && secret !== undefined && rest.length === 0) return { id, secret }
    throw new ConfigError('CONFIG_INVALID', source.name, {
      problem: 'is malformed.',
      remedy: 'Give `id:base64`, or several separated by commas.',
    })
  })
}

/** The text, and the variable that it came by. */
function secretSource(env: Env, name: string): { name: string; text: string } | undefined {
  const fileName = `${name}_FILE`
  const [direct, file] = [text(env, name), text(env, fileName)]
  if (direct !== undefined && file !== undefined) {
    throw new ConfigError('CONFIG_CONFLICT', name, {
      problem: `is set, and so is ${fileName}.`,
      remedy: 'Unset one of them.',
    })
  }
  if (file === undefined) return direct === undefined ? undefined : { name, text: direct }
  try {
    return { name: fileName, text: readFileSync(file, 'utf8').trim() }
  } catch {
    throw new ConfigError('CONFIG_INVALID', fileName, {
      problem: 'names a file that cannot be read.',
      remedy: 'Check its path and permissions.',
    })
  }
}
