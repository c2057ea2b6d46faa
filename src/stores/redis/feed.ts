import { noticeOfText, type KeyChange } from '../../keys/store.ts'
import { createWatchers } from '../../lib/watchers.ts'
import { startListening, type Listening, type ListeningParts } from './listening.ts'

/** What is published so that something is heard. */
export const HEARTBEAT = '{}'

/** The changes, for any number of watchers by one connection: the first opens it, the last closes it. */
export interface Feed {
  /** Rejects where the feed cannot be had at present, and leaves nothing behind. */
  watch(on: (change: KeyChange) => void): Promise<() => Promise<void>>
  /** Closes the connection; who watches still is told that the feed is lost. */
  close(): void
  /** Opens the connection again after `close`, if somebody watches still. */
  wake(): void
}

export function createFeed(parts: ListeningParts): Feed {
  const watchers = createWatchers<KeyChange>()
  const { tell } = watchers
  let waiting = 0
  const reception = createReception(parts, {
    message: (text) => {
      const notice = noticeOfText(text)
      if (notice !== null) tell(notice)
    },
    lost: () => tell('lost'),
    resumed: () => tell('resumed'),
  })
  const unlessWanted = () => {
    if (watchers.count() === 0 && waiting === 0) reception.close()
  }

  return Object.freeze({
    watch: async (on: (change: KeyChange) => void) => {
      if (reception.state() === 'lost') throw new Error('Redis: the feed of changes is lost at present.')
      waiting += 1
      try {
        await reception.open()
        const remove = watchers.add(on)
        return async () => {
          if (remove()) unlessWanted()
        }
      } finally {
        waiting -= 1
        unlessWanted()
      }
    },
    close: () => {
      const wasUp = reception.state() === 'up'
      reception.close()
      if (wasUp) tell('lost')
    },
    wake: () => {
      if (reception.state() === 'idle' && watchers.count() > 0) reception.reopen()
    },
  })
}

/** The published changes, by one connection at a time: where one is lost the next is opened, until that succeeds. */
interface Reception {
  state(): 'idle' | 'opening' | 'up' | 'lost'
  /** The first connection; rejects where it cannot be had, and leaves nothing behind. */
  open(): Promise<void>
  /** Goes on as after a loss: tries until it succeeds. */
  reopen(): void
  close(): void
}

interface ReceptionHandlers {
  message(text: string): void
  lost(): void
  resumed(): void
}

const RETRY_MS = 500

function createReception(parts: ListeningParts, handlers: ReceptionHandlers): Reception {
  let state: ReturnType<Reception['state']> = 'idle'
  let listening: Listening | null = null
  let opening: Promise<void> = Promise.resolve()
  let retry: NodeJS.Timeout | null = null

  /** `false`: failed, or was closed meanwhile; then nothing of it counts any more. */
  const listen = async (failed: (error: unknown) => void): Promise<boolean> => {
    const mine = startListening(parts, { message: handlers.message, lost })
    listening = mine
    try {
      await mine.up
    } catch (error) {
      if (listening === mine) failed(error)
      return false
    }
    if (listening === mine) state = 'up'
    return listening === mine
  }
  const lost = () => {
    reopen(0)
    handlers.lost()
  }
  const reopen = (ms: number) => {
    state = 'lost'
    retry = setTimeout(() => void listenAgain(), ms).unref()
  }
  const listenAgain = async () => {
    if (await listen(() => reopen(RETRY_MS))) handlers.resumed()
  }
  const open = async () => {
    state = 'opening'
    let problem: unknown = new Error('Redis: the feed of changes was closed.')
    const failed = (error: unknown) => {
      state = 'idle'
      problem = error
    }
    if (!(await listen(failed))) throw problem
  }

  return Object.freeze({
    state: () => state,
    open: () => {
      if (state === 'idle') opening = open()
      return opening
    },
    reopen: () => reopen(0),
    close: () => {
      state = 'idle'
      if (retry !== null) clearTimeout(retry)
      const last = listening
      listening = null
      last?.stop()
    },
  })
}
