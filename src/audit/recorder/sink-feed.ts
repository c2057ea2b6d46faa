import type { AuditLine, AuditSink } from '../sink.ts'

/** The way of events to one sink that does not acknowledge. */
export interface SinkFeed {
  readonly name: string
  /** Batches that the sink refused, and events that found its queue full. */
  readonly errors: number
  push(line: AuditLine): void
  /** Every event pushed so far was handed over, or the deadline has passed. */
  settled(deadlineMs: number): Promise<void>
  close(deadlineMs: number): Promise<void>
}

const MAX_QUEUED = 10_000
const MAX_BATCH = 500

/**
 * Batches what is recorded in one turn of the event loop. One batch is under way at a time, so the order stays; a sink that
 * is slow or hangs loses events, and nothing else.
 */
export function createSinkFeed(sink: AuditSink): SinkFeed {
  const abort = new AbortController()
  const progress = createProgress()
  let queue: AuditLine[] = []
  let errors = 0
  let busy = false

  const next = (): void => {
    const batch = Object.freeze(queue.splice(0, MAX_BATCH))
    void hand(sink, batch, abort.signal).then((taken) => {
      if (!taken) errors += 1
      busy = false
      progress.done(batch.length)
      schedule()
    })
  }
  const schedule = (): void => {
    if (busy || queue.length === 0) return
    busy = true
    setImmediate(next)
  }

  return Object.freeze({
    name: sink.name,
    get errors() {
      return errors
    },
    push(line: AuditLine) {
      if (queue.length >= MAX_QUEUED || abort.signal.aborted) {
        errors += 1
        return
      }
      progress.added()
      queue.push(line)
      schedule()
    },
    settled: (deadlineMs: number) => progress.settled(deadlineMs),
    async close(deadlineMs: number) {
      const started = performance.now()
      await progress.settled(deadlineMs)
      abort.abort()
      errors += queue.length
      queue = []
      await closeSink(sink, Math.max(0, deadlineMs - (performance.now() - started)))
    },
  })
}

interface Progress {
  added(): void
  done(events: number): void
  /** All that was added by now is done, or the deadline has passed. */
  settled(deadlineMs: number): Promise<void>
}

function createProgress(): Progress {
  const waiting = new Set<() => void>()
  let total = 0
  let reached = 0
  return {
    added() {
      total += 1
    },
    done(events) {
      reached += events
      for (const look of waiting) look()
    },
    async settled(deadlineMs) {
      const target = total
      if (reached >= target) return
      await new Promise<void>((resolve) => {
        const leave = (): void => {
          clearTimeout(timer)
          waiting.delete(look)
          resolve()
        }
        const look = (): void => {
          if (reached >= target) leave()
        }
        const timer = setTimeout(leave, deadlineMs)
        waiting.add(look)
      })
    },
  }
}

/** Whether the sink took the batch. What it throws says nothing that could be mended here, and may quote an event. */
async function hand(sink: AuditSink, batch: readonly AuditLine[], signal: AbortSignal): Promise<boolean> {
  try {
    await sink.write(batch, signal)
    return true
  } catch {
    return false
  }
}

/** What a sink still says while it is closed is of no use to anybody. */
async function closeSink(sink: AuditSink, deadlineMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, deadlineMs)
  })
  await Promise.race([closeQuietly(sink), deadline])
  clearTimeout(timer)
}

async function closeQuietly(sink: AuditSink): Promise<void> {
  try {
    await sink.close?.()
  } catch {
    return
  }
}
