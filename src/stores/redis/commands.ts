import { setMaxListeners } from 'node:events'
import type { Clock } from '../../lib/clock.ts'

export type Command = readonly string[]

export interface Commands {
  /**
   * Sends commands in one go and gives their replies in order. Rejects with the first error (`redisError`), and at the
   * signal or after 5 s, whichever comes first.
   */
  ask(commands: readonly Command[], signal?: AbortSignal): Promise<readonly unknown[]>
}

const DEADLINE_MS = 5000
/** Both clients keep commands without end while Redis hangs or is away. */
const MAX_WAITING = 256
const QUIET_MS = 1000

export function createCommands(
  send: (command: Command, signal: AbortSignal) => Promise<unknown>,
  clock: Clock,
): Commands {
  let waiting = 0
  let settledMs = 0
  const put = async (command: Command, signal: AbortSignal): Promise<unknown> => {
    if (waiting === 0) settledMs = clock.monotonicMs()
    waiting += 1
    try {
      return await send(command, signal)
    } catch (error) {
      throw redisError(error)
    } finally {
      waiting -= 1
      settledMs = clock.monotonicMs()
    }
  }
  const isStuck = () => waiting >= MAX_WAITING && clock.monotonicMs() - settledMs >= QUIET_MS

  return Object.freeze({
    ask: async (commands: readonly Command[], signal?: AbortSignal) => {
      if (signal?.aborted === true) throw new Error('Redis was not asked: the time was up.')
      if (isStuck()) throw new Error(`Redis has not answered for a second, and ${waiting} commands wait for it.`)
      const deadline = createDeadline(signal)
      try {
        return await Promise.race([
          Promise.all(commands.map((command) => put(command, deadline.signal))),
          deadline.passed,
        ])
      } finally {
        deadline.end()
      }
    },
  })
}

function createDeadline(outer: AbortSignal | undefined) {
  const controller = new AbortController()
  // A client may listen once a command.
  setMaxListeners(0, controller.signal)
  const abort = () => controller.abort()
  const timer = setTimeout(abort, DEADLINE_MS)
  timer.unref()
  outer?.addEventListener('abort', abort, { once: true })
  const passed = new Promise<never>((_, reject) => {
    const late = () => reject(new Error('Redis did not answer in time.'))
    controller.signal.addEventListener('abort', late, { once: true })
  })
  return {
    signal: controller.signal,
    passed,
    end: () => {
      clearTimeout(timer)
      outer?.removeEventListener('abort', abort)
    },
  }
}

/** What a client's error says, without what it carries: ioredis adds the command with its arguments, Redis may quote them. */
function redisError(error: unknown): Error {
  const said = error instanceof Error ? error.message : ''
  const code = codeOf(error, said)
  const text = (said.split(/[\r\n]|, with args/, 1)[0] ?? '').slice(0, 300)
  const remedy = code === 'CROSSSLOT' ? ' On a cluster the prefix needs a hash tag, such as `{hc}:`.' : ''
  return Object.assign(new Error(`Redis: ${text === '' ? (code ?? 'the command failed') : text}${remedy}`), { code })
}

/** Of the network (`ECONNREFUSED`), or the first word of Redis' own errors (`WRONGTYPE`). */
function codeOf(error: unknown, said: string): string | undefined {
  const code: unknown = error instanceof Error && Object.hasOwn(error, 'code') ? Reflect.get(error, 'code') : undefined
  if (typeof code === 'string') return code
  return /^[A-Z]{3,}(?= )/.exec(said)?.[0]
}

/** A reply that is a text, or `null` for nothing. @throws for any other, which is never "nothing". */
export function textOf(reply: unknown): string | null {
  if (reply === null || typeof reply === 'string') return reply
  if (Buffer.isBuffer(reply)) return reply.toString()
  throw new TypeError('Redis: a reply that is no text.')
}

/** A reply that is a list; of pairs too, which RESP3 gives as lists and RESP2 one after the other. */
export function listOf(reply: unknown): readonly unknown[] {
  if (!Array.isArray(reply)) throw new TypeError('Redis: a reply that is no list.')
  return (reply as readonly unknown[]).flat()
}
