import type { AuditDraft } from '../event.ts'
import type { Chain } from '../chain/chain.ts'
import type { ChainLine } from '../chain/chain-line.ts'
import type { IntentDraft } from '../intent.ts'

/** Where events are written down: the journal of a live server, or nowhere but in the hands of who listens (a test server). */
export interface EventLog {
  /** Events so far. */
  readonly length: number
  /** Calls that stand in no event. */
  readonly gaps: number
  /** `null`: no journal is kept. */
  readonly journal: { readonly directory: string; readonly writable: boolean } | null
  /** A call that is served now can be written down when it ends. */
  writable(): boolean
  /** What is known before a live call is served: its id, or `null` where it is not in the log now. */
  intend(draft: IntentDraft, known: string | null): string | null
  /** Whether all that is in the log by now is on the disk; `false` after 2 seconds at the latest. */
  synced(): Promise<boolean>
  /** So many calls are not written down; a line will tell. */
  lose(count: number): void
  /** Once a second. */
  tick(): void
  /** For how long there have been lines that no checkpoint signs; `null`: there are none to sign them. */
  uncheckedMs(): number | null
  /** The id of the event; `null`: not now; kept, or lost and counted. */
  record(draft: AuditDraft): string | null
  /** @throws what keeps the journal from being written. */
  ready(): void
  /** @throws when something recorded earlier is still not written. */
  settle(): void
  /** Whether nothing is owed to it any more: every intent has its event, and the last line says that it ends here. */
  close(): boolean
}

/** Writes the parts of a draft: the first gives the id, the others name it. `write` gives `null` where it cannot. */
export function writeParts(
  chain: Chain,
  draft: AuditDraft,
  write: (draft: AuditDraft, whole: AuditDraft) => ChainLine | null,
): string | null {
  const parts = chain.split(draft)
  const first = write(parts[0] ?? draft, draft)
  if (first === null) return null
  for (const each of parts.slice(1)) {
    const part: AuditDraft = { ...each, part: { n: 2, of_id: draft.part?.of_id ?? first.id } }
    write(part, part)
  }
  return first.id
}

/** The log of a test server: events are numbered and handed on, nothing is kept. */
export function createPassingLog(chain: Chain, deliver: (line: ChainLine) => void): EventLog {
  let closed = false
  let gaps = 0
  const write = (draft: AuditDraft): ChainLine => {
    const line = chain.next(draft)
    chain.add(line)
    deliver(line)
    return line
  }
  return Object.freeze({
    get length() {
      return chain.length
    },
    get gaps() {
      return gaps
    },
    journal: null,
    writable: () => true,
    intend: () => null,
    synced: () => Promise.resolve(true),
    lose: (count: number) => {
      gaps += count
    },
    tick: () => undefined,
    uncheckedMs: () => null,
    record: (draft: AuditDraft) => (closed ? null : writeParts(chain, draft, write)),
    ready: () => undefined,
    settle: () => undefined,
    close: () => {
      closed = true
      return true
    },
  })
}

/** A live server without a journal: nothing can be audited. */
export function createClosedLog(): EventLog {
  let gaps = 0
  const lose = (count: number): void => {
    gaps += count
  }
  return Object.freeze({
    length: 0,
    get gaps() {
      return gaps
    },
    journal: null,
    writable: () => false,
    intend: () => null,
    synced: () => Promise.resolve(false),
    lose,
    tick: () => undefined,
    uncheckedMs: () => null,
    record: (draft: AuditDraft) => {
      lose(draft.count)
      return null
    },
    ready: () => {
      throw new Error('A live server keeps an audit journal, and none is configured.')
    },
    settle: () => undefined,
    close: () => true,
  })
}
