import { StoreConflict } from '../errors.ts'
import type { Clock } from '../lib/clock.ts'
import { nextTurn } from '../lib/next-turn.ts'
import type { KeyStore } from './store.ts'

/** When keys were last used, written to the store beside the calls. */
export interface LastUsed {
  /** One write into a map. */
  note(keyId: string, now: number): void
  /** Writes what is due, if ten seconds have passed since the last time; settles when that is done, and never rejects. */
  check(): Promise<void> | null
  /** Writes what is due now, after what is under way. Never rejects. */
  flush(): Promise<void>
}

interface LastUsedSettings {
  readonly store: KeyStore
  readonly clock: Clock
  /** How many keys may wait; what is beyond is dropped. */
  readonly entries: number
}

const EVERY_MS = 10_000
/** Between two writes of one key. */
const PAUSE_MS = 60_000
const AT_ONCE = 4

/**
 * A failure loses the one instant that it was about and ends the round: the rest waits for the next. A store that never
 * answers is asked no more: its four questions stay the only ones.
 */
export function createLastUsed({ store, clock, entries }: LastUsedSettings): LastUsed {
  const canWrite = store.can.write === true
  const used = new Map<string, number>()
  const written = new Map<string, number>()
  let next = clock.monotonicMs() + EVERY_MS
  let underWay: Promise<void> | null = null

  const write = async (keyId: string): Promise<boolean> => {
    const at = used.get(keyId)
    if (at === undefined) return true
    // First, so that a use while this is written is kept for the next time.
    used.delete(keyId)
    written.set(keyId, clock.monotonicMs())
    try {
      await store.update(keyId, { lastUsedAt: new Date(at) })
      return true
    } catch (error) {
      return error instanceof StoreConflict
    }
  }

  const round = async () => {
    const ids = dueOf(used, written, clock.monotonicMs())
    let isWell = true
    const worker = async () => {
      while (isWell) {
        // A store in this process answers without ever giving way: the calls come first.
        await nextTurn()
        const id = isWell ? ids.pop() : undefined
        if (id === undefined) return
        if (!(await write(id))) isWell = false
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
  }

  const start = (): Promise<void> => {
    next = clock.monotonicMs() + EVERY_MS
    underWay = round().finally(() => {
      underWay = null
    })
    return underWay
  }

  return Object.freeze({
    note: (keyId: string, now: number) => {
      if (canWrite && (used.size < entries || used.has(keyId))) used.set(keyId, now)
    },
    check: () => (underWay === null && used.size > 0 && clock.monotonicMs() >= next ? start() : null),
    flush: async () => {
      await underWay
      if (used.size > 0) await start()
    },
  })
}

/** Whose last write is long enough ago; forgets the writes that do not matter any more. */
function dueOf(used: ReadonlyMap<string, number>, written: Map<string, number>, now: number): string[] {
  for (const [id, at] of written) if (now - at >= PAUSE_MS) written.delete(id)
  return [...used.keys()].filter((id) => !written.has(id))
}
