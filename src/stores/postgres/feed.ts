import { noticeOfText, type KeyChange } from '../../keys/store.ts'
import { createWatchers } from '../../lib/watchers.ts'
import { storeError, type Connections } from './connections.ts'
import { rest } from './patience.ts'
import { openSession, type Session } from './session.ts'

type Watcher = (change: KeyChange) => void

/** One listening connection for all watchers: the first one opens it, the last one closes it. */
export interface Feed {
  watch(on: Watcher): Promise<() => Promise<void>>
  /** Ends it for all; who still watches hears that it is lost. */
  close(): Promise<void>
}

interface Run {
  /** Rejects where the connection cannot be made, or is lost. */
  up(): Promise<void>
  stop(): Promise<void>
}

const FIRST_REST_MS = 100
/** With the time that a connection takes, the feed is back within two seconds of the engine. */
const LONGEST_REST_MS = 1000

export function createFeed(connections: Connections, channel: string): Feed {
  const watchers = createWatchers<KeyChange>()
  const { tell } = watchers
  let run: Run | null = null
  const stop = async () => {
    const last = run
    run = null
    await last?.stop()
  }
  const hear = (payload: string) => {
    const notice = noticeOfText(payload)
    if (notice !== null) tell(notice)
  }
  const start = () => startRun(tell, (signal) => openSession(connections, { channel, hear, signal }))

  return Object.freeze({
    watch: async (on: Watcher) => {
      const remove = watchers.add(on)
      const leave = async () => {
        if (remove() && watchers.count() === 0) await stop()
      }
      run ??= start()
      try {
        await run.up()
      } catch (error) {
        await leave()
        throw storeError(error, 'listen for changes')
      }
      return leave
    },
    close: async () => {
      await stop()
      tell('lost')
      watchers.clear()
    },
  })
}

/** Listens until it is stopped: a connection that is lost is made again, and again. */
function startRun(tell: Watcher, open: (signal: AbortSignal) => Promise<Session>): Run {
  const stopping = new AbortController()
  let lost = false

  const reopened = async (): Promise<Session | null> => {
    for (let pause = FIRST_REST_MS; !stopping.signal.aborted; pause = Math.min(2 * pause, LONGEST_REST_MS)) {
      await rest(pause, stopping.signal)
      try {
        return await open(stopping.signal)
      } catch {
        // Still out of reach, or stopped.
      }
    }
    return null
  }
  const first = open(stopping.signal)
  const keepUp = async () => {
    let session: Session | null = await first
    while (session !== null) {
      await session.ended
      if (stopping.signal.aborted) return
      lost = true
      tell('lost')
      session = await reopened()
      if (session === null || stopping.signal.aborted) return
      lost = false
      tell('resumed')
    }
  }
  const running = keepUp().catch(() => undefined)

  return {
    up: async () => {
      if (lost) throw new Error('the connection that hears of changes is lost, and being made again.')
      await first
    },
    stop: async () => {
      stopping.abort()
      await running
    },
  }
}
