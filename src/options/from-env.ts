import { loadCheckpointKey } from '../audit/chain/checkpoint.ts'
import { ConfigError } from '../errors.ts'
import type { KeyStore } from '../keys/store.ts'
import { ownMember } from '../lib/own-member.ts'
import { sqliteKeyStore } from '../stores/sqlite.ts'
import type {
  AuditOptions,
  AuthOptions,
  IssuingOptions,
  KeysOptions,
  NamedSecret,
  TokensOptions,
} from './auth-options.ts'
import { nameOfSecret, plainText, refuseUnknown, secretText, type Env, type SecretName } from './environment.ts'
import { readSigningKeys } from './signing-keys-text.ts'
import { readStoreUrl } from './store-url.ts'

/** What the environment cannot hold. */
export interface FromEnvParts {
  /** The key store. `HEALTHCLOUD_KEY_PEPPER` is used with it; `HEALTHCLOUD_KEY_STORE_URL` is then not read. */
  readonly store?: KeyStore | undefined
}

/**
 * Options from `HEALTHCLOUD_ENVIRONMENT`, `_ISSUER`, `_AUDIENCE`, `_JWKS_URL`, `_KEY_STORE_URL` (`sqlite:<path>`),
 * `_KEY_PEPPER`, `_SIGNING_KEY`, `_AUDIT_DIR` and `_AUDIT_PSEUDONYM_KEY`; each secret also as `…_FILE`, the path of a file that holds it.
 * Secrets are `id:base64[,id:base64…]`; a pepper list may end with `sha256`; signing keys are PEM or JWK, or a JSON list of them, and make
 * the server one that mints tokens (`issuing`). Reads the variables once and opens nothing but those files.
 * @throws {ConfigError} where a variable is malformed, cannot be served by this version or is unknown (any other that begins
 * with `HEALTHCLOUD_`, but for
 * `HEALTHCLOUD_API_KEY`, `_TOKEN_URL`, `_OPERATOR` and what Kubernetes sets), or where a file cannot be read. Its `option`
 * is the variable; the value is never repeated.
 */
export function fromEnv(
  env: Readonly<Record<string, string | undefined>> = process.env,
  parts: FromEnvParts = {},
): AuthOptions {
  refuseUnknown(env)
  const environment = environmentOf(env)
  const keys = keysOf(env, parts)
  const issuing = issuingOf(env, keys)
  const tokens = tokensOf(env, issuing)
  const audit = auditOf(env)
  return {
    environment,
    ...(keys === undefined ? {} : { keys }),
    ...(tokens === undefined ? {} : { tokens }),
    ...(issuing === undefined ? {} : { issuing }),
    ...(audit === undefined ? {} : { audit }),
  }
}

function environmentOf(env: Env): 'live' | 'test' {
  const environment = plainText(env, 'HEALTHCLOUD_ENVIRONMENT')
  if (environment === 'live' || environment === 'test') return environment
  const remedy = "Set it to 'live' or 'test'."
  throw environment === undefined
    ? new ConfigError('CONFIG_MISSING', 'HEALTHCLOUD_ENVIRONMENT', { problem: 'is not set.', remedy })
    : new ConfigError('CONFIG_INVALID', 'HEALTHCLOUD_ENVIRONMENT', { problem: 'is not valid.', remedy })
}

function keysOf(env: Env, parts: FromEnvParts): KeysOptions | undefined {
  for (const name of Object.keys(parts)) {
    if (name === 'store') continue
    throw new ConfigError('CONFIG_UNKNOWN_OPTION', name, {
      problem: 'is no part of fromEnv.',
      remedy: 'Write fromEnv(process.env, { store }).',
    })
  }
  const store = (ownMember(parts, 'store') as KeyStore | undefined) ?? storeOf(env)
  if (store === undefined) {
    refusePepper(env)
    return undefined
  }
  const pepper = secretsOf(env, 'HEALTHCLOUD_KEY_PEPPER')
  return pepper === undefined ? { store } : { store, pepper }
}

/** The one store that needs no client of yours. No part of the URL is shown: it may hold a password. */
function storeOf(env: Env): KeyStore | undefined {
  const source = secretText(env, 'HEALTHCLOUD_KEY_STORE_URL')
  if (source === undefined) return undefined
  const url = readStoreUrl(source.text)
  if (url === null) {
    throw new ConfigError('CONFIG_INVALID', source.name, {
      problem: 'is not the URL of a key store.',
      remedy: 'Give sqlite:<path of a file>, or hand a store in: fromEnv(process.env, { store }).',
    })
  }
  if (url.kind === 'sqlite') return sqliteKeyStore(url.path)
  const [factory, client] = url.kind === 'postgres' ? ['postgresKeyStore', 'pool'] : ['redisKeyStore', 'client']
  throw new ConfigError('CONFIG_UNSUPPORTED', source.name, {
    problem: `names a ${url.kind} store, and fromEnv opens no connections.`,
    remedy: `Hand the store in: fromEnv(process.env, { store: ${factory}(${client}) }).`,
  })
}

/** A pepper that nothing uses is a store that somebody has forgotten. */
function refusePepper(env: Env): void {
  const name = nameOfSecret(env, 'HEALTHCLOUD_KEY_PEPPER')
  if (name === undefined) return
  throw new ConfigError('CONFIG_CONFLICT', name, {
    problem: 'is set, but there is no key store to use it with.',
    remedy: 'Hand a store in, fromEnv(process.env, { store }), or unset it.',
  })
}

/** A server with a signing key mints tokens; `HEALTHCLOUD_ISSUER` and `_AUDIENCE` are then those of its own. */
function issuingOf(env: Env, keys: KeysOptions | undefined): IssuingOptions | undefined {
  const source = secretText(env, 'HEALTHCLOUD_SIGNING_KEY')
  if (source === undefined) return undefined
  const names = ['HEALTHCLOUD_ISSUER', 'HEALTHCLOUD_AUDIENCE'] as const
  const [issuer, audience] = names.map((name) => plainText(env, name))
  if (issuer === undefined || audience === undefined) {
    throw new ConfigError('CONFIG_MISSING', issuer === undefined ? names[0] : names[1], {
      problem: 'is not set.',
      remedy: `Set ${names.join(' and ')} of the tokens that are signed with ${source.name}.`,
    })
  }
  if (keys === undefined) {
    throw new ConfigError('CONFIG_CONFLICT', source.name, {
      problem: 'is set, but there is no key store: tokens are exchanged for API keys.',
      remedy: 'Hand a store in, fromEnv(process.env, { store }), or unset it.',
    })
  }
  return { issuer, audience: listOf(audience), signingKeys: readSigningKeys(source) }
}

function tokensOf(env: Env, issuing: IssuingOptions | undefined): TokensOptions | undefined {
  const names = ['HEALTHCLOUD_ISSUER', 'HEALTHCLOUD_AUDIENCE', 'HEALTHCLOUD_JWKS_URL'] as const
  const [issuer, audience, jwks] = names.map((name) => plainText(env, name))
  if (issuing !== undefined) {
    const { issuer: own, audience: ours } = issuing
    return { issuer: own, audience: ours, ...(jwks === undefined ? {} : { jwks }) }
  }
  if (issuer === undefined && audience === undefined && jwks === undefined) return undefined
  if (issuer === undefined || audience === undefined || jwks === undefined) {
    const missing = names.find((name) => plainText(env, name) === undefined) ?? names[0]
    throw new ConfigError('CONFIG_MISSING', missing, {
      problem: 'is not set.',
      remedy: `Set ${names.join(', ')} together, or none of them.`,
    })
  }
  return { issuer, audience: listOf(audience), jwks }
}

function listOf(text: string): readonly string[] {
  return text.split(',').map((each) => each.trim())
}

function auditOf(env: Env): AuditOptions | undefined {
  const directory = plainText(env, 'HEALTHCLOUD_AUDIT_DIR')
  const keys = secretsOf(env, 'HEALTHCLOUD_AUDIT_PSEUDONYM_KEY')
  const signingKey = auditSigningKey(env)
  if (directory === undefined && keys === undefined && signingKey === undefined) return undefined
  const pseudonymKeys = keys?.filter((each): each is NamedSecret => each !== 'sha256')
  return {
    ...(directory === undefined ? {} : { directory }),
    ...(pseudonymKeys === undefined ? {} : { pseudonymKeys }),
    ...(signingKey === undefined ? {} : { signingKey }),
  }
}

/** Checked here, so that the error names the variable. */
function auditSigningKey(env: Env): string | undefined {
  const source = secretText(env, 'HEALTHCLOUD_AUDIT_SIGNING_KEY')
  if (source === undefined || loadCheckpointKey(source.text) !== null) return source?.text
  throw new ConfigError('CONFIG_INVALID', source.name, {
    problem: 'is no private key of Ed25519.',
    remedy: 'Give PEM or JWK, such as `openssl genpkey -algorithm ed25519` makes.',
  })
}

function secretsOf(env: Env, name: SecretName): (NamedSecret | 'sha256')[] | undefined {
  const source = secretText(env, name)
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
