import { ownMember } from '../../lib/own-member.ts'
import type { NatsStoredMessage } from './options.ts'
import type { Stream } from './stream.ts'

/** A line in the stream. */
export interface StoredLine {
  /** Sequence of the message in the stream. */
  readonly at: number
  /** Of the event, among its writer's. */
  readonly seq: number
  readonly text: string
}

/** What the stream holds of one writer. */
export interface StoredLines {
  last(): Promise<StoredLine | null>
  /**
   * The line of the event `seq`, or of the next one that is there, between the message `low` and `last`, which is no earlier
   * one.
   */
  from(seq: number, last: StoredLine, low: number): Promise<StoredLine>
}

export function storedLines({ name, manager }: Stream, subject: string): StoredLines {
  const ask = async (query: object): Promise<StoredLine | null> => {
    // `next_by_subj` is of the server's API (2.9 and later); the client hands it on, and its type does not have it.
    const message = await manager.streams.getMessage(name, query as { last_by_subj: string })
    return message === null ? null : lineOf(message, subject)
  }
  return Object.freeze({
    last: () => ask({ last_by_subj: subject }),
    /** Numbers rise along the subject, so that halving finds the place among the messages of all writers. */
    from: async (seq: number, last: StoredLine, low: number) => {
      let found = last
      let [from, middle, to] = [low, low, last.at]
      while (from < to) {
        const line = await ask({ seq: middle, next_by_subj: subject })
        if (line === null) throw new Error(`messages of ${subject} are being deleted.`)
        if (line.seq < seq) from = line.at + 1
        else [found, to] = [line, middle]
        middle = Math.floor((from + to) / 2)
      }
      return found
    },
  })
}

function lineOf({ seq: at, data }: NatsStoredMessage, subject: string): StoredLine {
  const text = Buffer.from(data).toString()
  const seq = seqOf(text)
  if (seq === null) throw new Error(`on ${subject} there is a message that is no event: somebody else writes there.`)
  return { at, seq, text }
}

function seqOf(text: string): number | null {
  try {
    const seq = ownMember(JSON.parse(text), 'seq')
    return typeof seq === 'number' ? seq : null
  } catch {
    return null
  }
}
