import type { AuditEvent } from '../event.ts'
import type { ChainLine } from '../chain/chain-line.ts'
import type { AuditSink } from '../sink.ts'
import { createSinkFeed } from './sink-feed.ts'

/** Hands on what is written down: to `onEvent` at once, to sinks in batches. */
export interface Delivery {
  readonly listenerErrors: number
  readonly sinkErrors: Readonly<Record<string, number>>
  deliver(line: ChainLine): void
  settled(deadlineMs: number): Promise<void>
  close(deadlineMs: number): Promise<void>
}

export type EventListener = (event: AuditEvent) => unknown

export function createDelivery(onEvent: EventListener | null, sinks: readonly AuditSink[]): Delivery {
  const feeds = sinks.filter((sink) => !sink.acks).map(createSinkFeed)
  let listenerErrors = 0
  const failed = (): void => {
    listenerErrors += 1
  }

  const tell = (event: AuditEvent): void => {
    if (onEvent === null) return
    try {
      const result = onEvent(event)
      if (result instanceof Promise) result.catch(failed)
    } catch {
      failed()
    }
  }

  return Object.freeze({
    get listenerErrors() {
      return listenerErrors
    },
    get sinkErrors() {
      return errorsByName(feeds)
    },
    deliver(line: ChainLine) {
      if (feeds.length === 0 && onEvent === null) return
      const handed = Object.freeze({ event: line.event, text: line.text })
      for (const feed of feeds) feed.push(handed)
      tell(handed.event)
    },
    async settled(deadlineMs: number) {
      await Promise.all(feeds.map((feed) => feed.settled(deadlineMs)))
    },
    async close(deadlineMs: number) {
      await Promise.all(feeds.map((feed) => feed.close(deadlineMs)))
    },
  })
}

/** Sinks of one name count together; those without errors are not named. */
function errorsByName(
  feeds: readonly { readonly name: string; readonly errors: number }[],
): Readonly<Record<string, number>> {
  const counts = new Map<string, number>()
  for (const { name, errors } of feeds) if (errors > 0) counts.set(name, (counts.get(name) ?? 0) + errors)
  return Object.fromEntries(counts)
}
