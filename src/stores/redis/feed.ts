import type { KeyChange } from '../../keys/store.ts'
import { ownMember } from '../../lib/own-member.ts'
import type { ListeningParts } from './listening.ts'
import { createReception } from './reception.ts'

type Watcher = (change: KeyChange) => void

/** What is published when a key was changed or a token revoked. */
export function noticeOf(change: { keyId: string } | { tokenId: string }): string {
  return JSON.stringify(change)
}

/** What is published so that something is heard. */
export const HEARTBEAT = '{}'

/** The changes, for any number of watchers by one connection: the first opens it, the last closes it. */
export interface Feed {
  /** Rejects where the feed cannot be had at present, and leaves nothing behind. */
  watch(on: Watcher): Promise<() => Promise<void>>
  /** Closes the connection; who watches still is told that the feed is lost. */
  close(): void
  /** Opens the connection again after `close`, if somebody watches still. */
  wake(): void
}

export function createFeed(parts: ListeningParts): Feed {
  const watchers = new Set<Watcher>()
  let waiting = 0
  const tell = (change: KeyChange) => {
    for (const watcher of watchers) tellOne(watcher, change)
  }
  const reception = createReception(parts, {
    message: (text) => tellOf(text, tell),
    lost: () => tell('lost'),
    resumed: () => tell('resumed'),
  })
  const unlessWanted = () => {
    if (watchers.size === 0 && waiting === 0) reception.close()
  }

  return Object.freeze({
    watch: async (on: Watcher) => {
      if (reception.state() === 'lost') throw new Error('Redis: the feed of changes is lost at present.')
      waiting += 1
      try {
        await reception.open()
        // A function of its own for each, so that one watcher given twice is two.
        const watcher: Watcher = (change) => on(change)
        watchers.add(watcher)
        return async () => {
          if (watchers.delete(watcher)) unlessWanted()
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
      if (reception.state() === 'idle' && watchers.size > 0) reception.reopen()
    },
  })
}

/** Heartbeats, and what a later version may publish, say nothing here. */
function tellOf(text: string, tell: Watcher): void {
  const message = parsed(text)
  const keyId = ownMember(message, 'keyId')
  const tokenId = ownMember(message, 'tokenId')
  if (typeof keyId === 'string') tell({ keyId })
  else if (typeof tokenId === 'string') tell({ tokenId })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function tellOne(watcher: Watcher, change: KeyChange): void {
  try {
    watcher(change)
  } catch {
    // In a listener of the client's socket it would end the process.
  }
}
