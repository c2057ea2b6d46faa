import { textOf, type Commands } from './commands.ts'
import { VERSION } from './scripts.ts'

/** Whether what is stored can be relied on. */
export interface Condition {
  /** Judges what the version key holds. @throws where it is of another form, or where a store that had data has none. */
  check(version: unknown): void
}

/**
 * Every question reads the version key as well. The first write makes it, and nothing deletes it: where it was and is not,
 * Redis has lost its data, and every key would look unknown.
 */
export function createCondition(prefix: string): Condition {
  let seen = false
  return Object.freeze({
    check: (reply: unknown) => {
      const version = textOf(reply)
      if (version === VERSION) seen = true
      else if (version !== null) throw new Error(otherVersion(prefix, version))
      else if (seen) {
        throw new Error(
          `Redis: the keys under ${prefix} are gone, so Redis has lost its data. Restore it; if it was emptied on purpose, start anew.`,
        )
      }
    },
  })
}

export function otherVersion(prefix: string, version: string): string {
  const shown = /^[0-9]{1,9}$/.test(version) ? version : 'unknown'
  return (
    `Redis: what is stored under ${prefix} is of version ${shown}, and this package knows version ${VERSION}. ` +
    'Update the package, or give another prefix.'
  )
}

/**
 * A key that Redis evicts when its memory is full looks unknown to everybody.
 * @throws unless Redis never evicts. Where it may not be asked, that is the operator's to know.
 */
export async function refuseEviction(commands: Commands, signal: AbortSignal): Promise<void> {
  const info = await memoryInfo(commands, signal)
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1]
  const limit = /^maxmemory:(\d+)/m.exec(info)?.[1]
  if (policy === undefined || limit === undefined || policy === 'noeviction' || Number(limit) === 0) return
  throw new Error(
    `Redis: it evicts keys when its memory is full (maxmemory-policy ${policy}), and an evicted API key would be refused ` +
      'as unknown. Set maxmemory-policy to noeviction, or keep API keys in a Redis of their own.',
  )
}

async function memoryInfo(commands: Commands, signal: AbortSignal): Promise<string> {
  try {
    const [reply] = await commands.ask([['INFO', 'memory']], signal)
    return textOf(reply) ?? ''
  } catch (error) {
    if (isRefusal(error)) return ''
    throw error
  }
}

/** Not permitted, or not known to a service that speaks only some of Redis. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && /^Redis: (NOPERM|ERR) /.test(error.message)
}
