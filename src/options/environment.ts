import { readFileSync } from 'node:fs'
import { ConfigError } from '../errors.ts'
import { ownMember } from '../lib/own-member.ts'

/** The variables of a process, such as `process.env`. */
export type Env = Readonly<Record<string, string | undefined>>

/** Each has a twin `…_FILE`, the path of a file that holds it. */
export type SecretName =
  | 'HEALTHCLOUD_KEY_STORE_URL'
  | 'HEALTHCLOUD_KEY_PEPPER'
  | 'HEALTHCLOUD_AUDIT_PSEUDONYM_KEY'
  | 'HEALTHCLOUD_AUDIT_SIGNING_KEY'
  | 'HEALTHCLOUD_SIGNING_KEY'

export type PlainName =
  | 'HEALTHCLOUD_ENVIRONMENT'
  | 'HEALTHCLOUD_ISSUER'
  | 'HEALTHCLOUD_AUDIENCE'
  | 'HEALTHCLOUD_JWKS_URL'
  | 'HEALTHCLOUD_AUDIT_DIR'

const PLAIN: Readonly<Record<PlainName, true>> = {
  HEALTHCLOUD_ENVIRONMENT: true,
  HEALTHCLOUD_ISSUER: true,
  HEALTHCLOUD_AUDIENCE: true,
  HEALTHCLOUD_JWKS_URL: true,
  HEALTHCLOUD_AUDIT_DIR: true,
}

const SECRETS: Readonly<Record<SecretName, true>> = {
  HEALTHCLOUD_KEY_STORE_URL: true,
  HEALTHCLOUD_KEY_PEPPER: true,
  HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: true,
  HEALTHCLOUD_AUDIT_SIGNING_KEY: true,
  HEALTHCLOUD_SIGNING_KEY: true,
}

/** What a client of HealthCloud and the command line keep in the same environment, and what Kubernetes puts there for a service of that name. */
const OF_OTHERS =
  /^HEALTHCLOUD_(API_KEY|TOKEN_URL|OPERATOR|(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?))$/

/**
 * A misspelt variable is a setting that somebody relies on and that is not there.
 * @throws {ConfigError} for one in our name that is set and not known.
 */
export function refuseUnknown(env: Env): void {
  for (const name of Object.keys(env)) {
    if (!/^HEALTHCLOUD_/i.test(name) || isKnown(name) || OF_OTHERS.test(name) || textOf(env, name) === undefined)
      continue
    throw new ConfigError('CONFIG_UNKNOWN_OPTION', name, {
      problem: 'is not a variable of this version.',
      remedy: 'Correct the name, unset it, or hand fromEnv an environment without it.',
    })
  }
}

function isKnown(name: string): boolean {
  return Object.hasOwn(PLAIN, name) || Object.hasOwn(SECRETS, name.replace(/_FILE$/, ''))
}

export function plainText(env: Env, name: PlainName): string | undefined {
  return textOf(env, name)
}

/** The text, and the variable that it came by. */
export function secretText(env: Env, name: SecretName): { readonly name: string; readonly text: string } | undefined {
  const fileName = `${name}_FILE`
  const [direct, file] = [textOf(env, name), textOf(env, fileName)]
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

/** The variable that a secret is named by, without opening a file. */
export function nameOfSecret(env: Env, name: SecretName): string | undefined {
  return [name, `${name}_FILE`].find((each) => textOf(env, each) !== undefined)
}

/** An empty variable is an unset one. */
function textOf(env: Env, name: string): string | undefined {
  const value = ownMember(env, name)
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined
}
