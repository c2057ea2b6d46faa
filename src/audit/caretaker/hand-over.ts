import { ownMember } from '../../lib/own-member.ts'
import { keepDeadLetters } from '../journal/dead-letters.ts'
import type { Batch } from '../journal/read-batch.ts'
import type { AuditSink, RejectedEvent } from '../sink.ts'

/** A sink that says nothing for so long has failed. */
const WRITE_DEADLINE_MS = 60_000

/**
 * Hands a batch to the sink; what it will never take goes to the dead-letter file of the folder. Gives how many did.
 * @throws what the sink rejects with, and what the file system throws: then the batch is to be handed over again.
 */
export async function handOver(
  { lines }: Batch,
  { sink, folder, stop }: { sink: AuditSink; folder: string; stop: AbortSignal },
): Promise<number> {
  const rejected = rejectedOf(await handed((signal) => sink.write(lines, signal), stop))
  const letters = lines.flatMap(({ event, text }) => {
    const reason = rejected.get(event.id)
    return reason === undefined ? [] : [{ reason, text }]
  })
  if (letters.length > 0) await keepDeadLetters(folder, sink.name, letters)
  return letters.length
}

/** Whether or not the sink heeds its signal, it is not waited for beyond it. */
async function handed<T>(write: (signal: AbortSignal) => Promise<T>, stop: AbortSignal): Promise<T> {
  const attempt = new AbortController()
  const abort = (): void => attempt.abort()
  const timer = setTimeout(abort, WRITE_DEADLINE_MS).unref()
  stop.addEventListener('abort', abort)
  try {
    return await new Promise<T>((resolve, reject) => {
      attempt.signal.addEventListener('abort', () => reject(new Error('The sink did not answer in time.')))
      if (stop.aborted) abort()
      else write(attempt.signal).then(resolve, reject)
    })
  } finally {
    clearTimeout(timer)
    stop.removeEventListener('abort', abort)
  }
}

function rejectedOf(answer: unknown): ReadonlyMap<string, string> {
  const list: unknown = ownMember(answer, 'rejected')
  const entries = (Array.isArray(list) ? (list as readonly RejectedEvent[]) : []).map(
    (each) => [String(ownMember(each, 'id')), String(ownMember(each, 'reason')).slice(0, 64)] as const,
  )
  return new Map(entries)
}
