import type { KeyChange } from '../../keys/store.ts'
import { createWatchers } from '../../lib/watchers.ts'
import type { News } from './change-log.ts'
import type { Tables } from './connection.ts'

type Watcher = (change: KeyChange) => void

/** Tells watchers what this store changed at once, and what others changed when it looks. */
export interface Feed {
  watch(on: Watcher): Promise<() => Promise<void>>
  /** After a change by this store. */
  wrote(tables: Tables): void
  /** The database is open again. */
  resume(): void
  /** It is being closed: whoever still watches has to know. */
  pause(): void
}

/** How often the file is looked at for changes by other processes. */
const LOOK_EVERY_MS = 500

export function createFeed(open: () => Promise<Tables>): Feed {
  const watchers = createWatchers<KeyChange>()
  const reader = createReader()
  let lost = false
  const tell = (changes: readonly KeyChange[]) => {
    for (const change of changes) watchers.tell(change)
  }
  const lose = () => {
    if (!lost) tell(['lost'])
    lost = true
  }
  const look = async () => {
    const changes = await open()
      .then(reader.look)
      .catch(() => null)
    if (!ticker.isRunning()) return
    if (changes === null) return lose()
    tell(lost ? [...changes, 'resumed'] : changes)
    lost = false
  }
  const ticker = createTicker(look)
  const resume = () => {
    if (watchers.count() > 0) ticker.start()
  }
  const wrote = (tables: Tables) => {
    if (watchers.count() === 0) return
    const changes = attempt(() => reader.read(tables))
    if (changes === null) lose()
    else tell(changes)
  }
  const begin = (tables: Tables) => {
    reader.begin(tables)
    lost = false
  }

  return {
    resume,
    wrote,
    watch: async (on) => {
      const tables = await open()
      if (watchers.count() === 0) begin(tables)
      else wrote(tables)
      const leave = watchers.add(on)
      resume()
      return async () => {
        leave()
        if (watchers.count() === 0) ticker.stop()
      }
    },
    pause: () => {
      ticker.stop()
      lose()
    },
  }
}

/** Does its work again and again, never twice at one time, and keeps no process alive. */
function createTicker(work: () => Promise<void>) {
  let timer: NodeJS.Timeout | null = null
  let busy = false
  const tick = async () => {
    if (busy) return
    busy = true
    await work().finally(() => {
      busy = false
    })
  }
  return {
    isRunning: () => timer !== null,
    start: () => {
      timer ??= setInterval(() => void tick(), LOOK_EVERY_MS).unref()
    },
    stop: () => {
      if (timer !== null) clearInterval(timer)
      timer = null
    },
  }
}

/** Remembers up to which change the log was read, whoever wrote it: another process, or another store of this one. */
function createReader() {
  let seen = 0
  const read = ({ log }: Tables): readonly KeyChange[] => {
    const news = log.since(seen)
    seen = news.last
    return toldOf(news)
  }
  return {
    read,
    begin: ({ log }: Tables) => {
      seen = log.last()
    },
    look: (tables: Tables): readonly KeyChange[] => {
      tables.checkPlace()
      return read(tables)
    },
  }
}

function toldOf({ changes, missed }: News): readonly KeyChange[] {
  return missed ? ['lost', 'resumed', ...changes] : changes
}

function attempt<T>(work: () => T): T | null {
  try {
    return work()
  } catch {
    return null
  }
}
