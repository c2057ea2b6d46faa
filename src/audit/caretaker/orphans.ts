import type { Clock } from '../../lib/clock.ts'
import type { Environment } from '../../principal.ts'
import { createChain, type Chain } from '../chain/chain.ts'
import type { CheckpointSigner } from '../chain/checkpoint.ts'
import type { AuditEvent } from '../event.ts'
import type { AuditIntent } from '../intent.ts'
import { interrupted } from '../chain/interrupted.ts'
import { isCarried } from '../journal/cursor.ts'
import { segmentsOf, writersIn } from '../journal/lines.ts'
import { createSilence, followOwner, hasOwner, type Owner } from '../journal/owner.ts'
import { readLeftover, type Leftover } from '../journal/recover.ts'
import { createJournalWriter } from '../journal/writer.ts'
import type { ChainLine } from '../chain/chain-line.ts'
import { systemDraft } from '../chain/system-draft.ts'

export interface OrphanSettings {
  readonly directory: string
  /** This process's own writer. */
  readonly writer: string
  readonly environment: Environment
  readonly service: AuditEvent['service']
  readonly clock: Clock
  readonly signer: CheckpointSigner | null
  /** Names of the sinks that get every event that is here. */
  readonly sinks: readonly string[]
}

/** A journal that nobody writes any more: its events may still be owed to sinks, until the owner lets go of it. */
export interface Orphan {
  readonly writer: string
  readonly owner: Owner
  /** How many there are. */
  readonly events: number
}

/** Finds the journals whose processes are gone, and ends them. */
export interface Adoption {
  /**
   * One look: each call that was let in and has no event gets one that says `interrupted`. Gives the journals that this
   * process looks after from now on; another process may have been quicker. `deliver` gets each event that was added.
   * @throws what the file system throws; the next look goes on from there.
   */
  look(deliver: (line: ChainLine) => void): Promise<readonly Orphan[]>
}

export function createAdoption(settings: OrphanSettings): Adoption {
  const { directory } = settings
  /** Followed, but not ended yet. */
  const pending = new Map<string, Owner>()
  const silence = createSilence(settings.clock)
  /** Finished, and nobody is owed anything of them. */
  const done = new Set<string>()

  const isOwed = async (writer: string): Promise<boolean> => {
    if (writer === settings.writer || pending.has(writer) || done.has(writer)) return false
    if (hasOwner(directory, writer)) return true
    // Let go of by a process without these sinks, or older than they are.
    for (const sink of settings.sinks) if (!(await isCarried(directory, writer, sink))) return true
    // A folder without segments may be that of a process that is just starting.
    if ((await segmentsOf(directory, writer)).length > 0) done.add(writer)
    return false
  }
  const follow = async (writer: string): Promise<void> => {
    if (!(await isOwed(writer))) return
    const owner = followOwner(directory, writer, silence)
    if (owner !== null) pending.set(writer, owner)
  }
  return Object.freeze({
    async look(deliver: (line: ChainLine) => void) {
      const trouble = createTrouble()
      for (const writer of await writersIn(directory)) await trouble.beside(() => follow(writer))
      const ended: Orphan[] = []
      for (const [writer, owner] of pending) {
        // Where it fails, somebody else may try.
        pending.delete(writer)
        await trouble.beside(async () => {
          try {
            const events = end(settings, await readLeftover(directory, writer), deliver)
            ended.push({ writer, owner, events })
          } catch (error) {
            owner.leave()
            throw error
          }
        })
      }
      // What went well is looked after all the same.
      if (ended.length === 0) trouble.tell()
      return ended
    },
  })
}

/** One folder that cannot be read keeps no other one back. */
function createTrouble(): { beside(work: () => Promise<void>): Promise<void>; tell(): void } {
  let first: { readonly error: unknown } | null = null
  return {
    async beside(work) {
      try {
        await work()
      } catch (error) {
        first ??= { error }
      }
    },
    tell() {
      if (first !== null) throw first.error
    },
  }
}

/** Gives how many events there are. */
function end(settings: OrphanSettings, leftover: Leftover | null, deliver: (line: ChainLine) => void): number {
  if (leftover === null) return 0
  const { writer, end: from, chain: chainEnd, open, finished } = leftover
  if (finished) return chainEnd.seq
  const { directory, clock, signer } = settings
  const journal = createJournalWriter({ directory, writer, clock, from })
  const chain = createChain({ ...settings, writer, linked: true, from: chainEnd })
  const append = (line: ChainLine): void => {
    if (!journal.append(line.text)) throw journal.failure ?? new Error('The journal cannot be written.')
    chain.add(line)
    deliver(line)
  }
  journal.open()
  try {
    for (const intent of open) append(lineOf(chain, intent, clock))
    append(chain.next(systemDraft('audit.recovered', clock.now(), { count: open.length })))
    if (signer !== null) append(chain.next(systemDraft('audit.checkpoint', clock.now())))
  } finally {
    journal.close()
  }
  return chain.length
}

/** An intent that somebody has changed may hold anything: then the call is counted, at least. */
function lineOf(chain: Chain, intent: AuditIntent, clock: Clock): ChainLine {
  try {
    return chain.next(interrupted(intent.intent, { ...intent, time: Date.parse(intent.time) }))
  } catch {
    return chain.next(systemDraft('audit.gap', clock.now(), { reason: 'process_interrupted' }))
  }
}
