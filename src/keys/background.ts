import type { Clock } from '../lib/clock.ts'
import { settledWithin } from '../lib/settled-within.ts'
import { createLastUsed } from './last-used.ts'
import { createRotationReminder } from './rotation-due.ts'
import type { KeyRecord, KeyStore } from './store.ts'

/** What is done for keys beside the calls: looked at once a real second, so that a clock that is moved moves it. */
export interface KeyBackground {
  /** A key was let in. */
  used(keyId: string, now: number): void
  /** Begins, and waits a moment for the first look at keys that are due; never rejects. */
  start(): Promise<void>
  rotationDue(): number | null
  /** Ends, and writes the last uses within the deadline; never rejects. */
  stop(deadlineMs: number): Promise<void>
}

interface BackgroundSettings {
  readonly store: KeyStore
  readonly clock: Clock
  readonly entries: number
  readonly onRotationDue: ((records: readonly KeyRecord[]) => void) | null
}

const TICK_MS = 1000
const FIRST_LOOK_MS = 1000

export function createKeyBackground({ store, clock, entries, onRotationDue }: BackgroundSettings): KeyBackground {
  const lastUsed = createLastUsed({ store, clock, entries })
  const reminder = createRotationReminder({ store, clock, onRotationDue })
  let timer: NodeJS.Timeout | null = null
  let stopped = false

  const begin = () => {
    if (stopped) return
    timer ??= setInterval(() => {
      void lastUsed.check()
      void reminder.check()
    }, TICK_MS).unref()
  }

  return Object.freeze({
    used: (keyId: string, now: number) => {
      lastUsed.note(keyId, now)
      if (timer === null) begin()
    },
    start: async () => {
      begin()
      if (!stopped) await settledWithin(reminder.check(), FIRST_LOOK_MS)
    },
    rotationDue: reminder.due,
    stop: async (deadlineMs: number) => {
      stopped = true
      if (timer !== null) clearInterval(timer)
      await settledWithin(lastUsed.flush(), deadlineMs)
    },
  })
}
