import { startListening, type Listening, type ListeningParts } from './listening.ts'

/** The published changes, by one connection at a time: where one is lost the next is opened, until that succeeds. */
export interface Reception {
  state(): 'idle' | 'opening' | 'up' | 'lost'
  /** The first connection; rejects where it cannot be had, and leaves nothing behind. */
  open(): Promise<void>
  /** Goes on as after a loss: tries until it succeeds. */
  reopen(): void
  close(): void
}

export interface ReceptionHandlers {
  message(text: string): void
  lost(): void
  resumed(): void
}

const RETRY_MS = 500

export function createReception(parts: ListeningParts, handlers: ReceptionHandlers): Reception {
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
