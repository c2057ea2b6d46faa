import { createRequire } from 'node:module'
import { join } from 'node:path'
import { ConfigError } from '../errors.ts'

/** What a store of this kind is reached with. */
const PACKAGES: { readonly postgres: string; readonly redis: string } = { postgres: 'pg', redis: '@redis/client' }

/**
 * The client package of the caller's project: the one that his server uses, in its version.
 * @throws {ConfigError} where it is not installed there, or cannot be loaded.
 */
export function loadDriver(kind: keyof typeof PACKAGES, cwd: string): unknown {
  const name = PACKAGES[kind]
  const load = createRequire(join(cwd, 'package.json'))
  try {
    return load(name)
  } catch (error) {
    const missing = isMissing(error, name)
    throw new ConfigError('CONFIG_MISSING', 'HEALTHCLOUD_KEY_STORE_URL', {
      problem: `names a ${kind} store, and the package ${name} ${missing ? 'is not installed' : 'cannot be loaded'} here.`,
      remedy: `Run this in your project, or there: npm install ${name}`,
    })
  }
}

/** One that is there and lacks something else is broken, not missing. */
function isMissing(error: unknown, name: string): boolean {
  return (
    error instanceof Error && Reflect.get(error, 'code') === 'MODULE_NOT_FOUND' && error.message.includes(`'${name}'`)
  )
}
