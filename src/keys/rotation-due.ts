import { KeyError } from '../errors.ts'
import type { Clock } from '../lib/clock.ts'
import { nextTurn } from '../lib/next-turn.ts'
import { readable } from './admin-parts.ts'
import { statusAt } from './record.ts'
import type { KeyRecord, KeyStore } from './store.ts'

/** Which keys are asked for: the active ones that are older than so many days. */
export interface RotationDue {
  /** Default 90. */
  readonly afterDays?: number | undefined
  /** None: of all organizations. */
  readonly organizationId?: string | undefined
}

/** Looks once a day which keys are due. */
export interface RotationReminder {
  /** Looks, if a day has passed; settles when that is done, and never rejects. `null`: nothing to do, or under way. */
  check(): Promise<void> | null
  /** How many were due when the store was last asked; `null`: not known. */
  due(): number | null
}

interface ReminderSettings {
  readonly store: KeyStore
  readonly clock: Clock
  readonly onRotationDue: ((records: readonly KeyRecord[]) => void) | null
}

const DAY_MS = 86_400_000
const RETRY_MS = 60_000
const DEFAULT = { afterDays: 90, organizationId: null }
const PAGE = 1000

/** All of them, page by page. */
export async function findRotationDue(
  store: KeyStore,
  now: number,
  { afterDays, organizationId }: { afterDays: number; organizationId: string | null },
): Promise<readonly KeyRecord[]> {
  const isDue = (record: KeyRecord) =>
    statusAt(record, now) === 'active' &&
    record.rotatedAt === null &&
    now - record.createdAt.getTime() > afterDays * DAY_MS
  const due: KeyRecord[] = []
  let after: string | null = null
  for (;;) {
    const page: readonly KeyRecord[] = await store.list(pageQuery(organizationId, after))
    for (const each of page) {
      const record = readable(each, (one) => organizationId === null || one.organizationId === organizationId)
      if (isDue(record)) due.push(record)
    }
    const last: string | null = page.at(-1)?.id ?? null
    if (last === null) return Object.freeze(due)
    if (last === after) throw new KeyError('KEY_INVALID', 'record', 'comes again and again: the store does not page.')
    after = last
    // A store in this process answers without ever giving way: the calls come first.
    await nextTurn()
  }
}

/** Without a prototype: a store that takes the query apart finds what is meant alone. */
function pageQuery(organizationId: string | null, after: string | null): Parameters<KeyStore['list']>[0] {
  return Object.assign(
    Object.create(null) as object,
    { limit: PAGE },
    organizationId === null ? null : { organizationId },
    after === null ? null : { after },
  )
}

/** Neither a store nor a callback that fails does any harm; a store is asked again a minute later. */
export function createRotationReminder({ store, clock, onRotationDue }: ReminderSettings): RotationReminder {
  const canList = store.can.list === true
  let next = Number.NEGATIVE_INFINITY
  let due: number | null = null
  let underWay = false

  const look = async () => {
    try {
      const records = await findRotationDue(store, clock.now(), DEFAULT)
      due = records.length
      next = clock.monotonicMs() + DAY_MS
      if (due > 0) tell(onRotationDue, records)
    } catch {
      due = null
      next = clock.monotonicMs() + RETRY_MS
    } finally {
      underWay = false
    }
  }

  return Object.freeze({
    check: () => {
      if (!canList || underWay || clock.monotonicMs() < next) return null
      underWay = true
      return look()
    },
    due: () => due,
  })
}

function tell(listener: ReminderSettings['onRotationDue'], records: readonly KeyRecord[]): void {
  try {
    const answer: unknown = listener?.(records)
    // Nobody waits for an asynchronous listener; its rejection must not end the process.
    Promise.resolve(answer).catch(() => undefined)
  } catch {
    // The listener's own affair.
  }
}
