import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import type { Environment } from '../../principal.ts'
import { createChain, type Chain } from '../chain/chain.ts'
import type { CheckpointSigner } from '../chain/checkpoint.ts'
import type { AuditEvent } from '../event.ts'
import type { AuditIntent } from '../intent.ts'
import { interrupted } from '../chain/interrupted.ts'
import { hasCursor } from '../journal/cursor.ts'
import { writersIn } from '../journal/lines.ts'
import { followOwner, hasOwner, type Owner } from '../journal/owner.ts'
import { readLeftover, type Leftover } from '../journal/recover.ts'
import { createJournalWriter } from '../journal/writer.ts'
import type { AuditLine } from '../sink.ts'
import { systemDraft } from '../chain/system-draft.ts'

export interface OrphanSettings {
  readonly directory: string
  /** This process's own writer. */
  readonly writer: string
  readonly environment: Environment
  readonly service: AuditEvent['service']
  readonly clock: Clock
  readonly signer: CheckpointSigner | null
  /** Names of the sinks that must get every event that is here. */
  readonly required: readonly string[]
}

/** A journal that nobody writes any more: its events may still be owed to sinks, until the owner lets go of it. */
export interface Orphan {
  readonly writer: string
  readonly owner: Owner
}

/** Finds the journals whose processes are gone, and ends them. */
export interface Adoption {
  /**
   * One look: each call that was let in and has no event gets one that says `interrupted`. Gives the journals that this
   * process looks after from now on; another process may have been quicker. `deliver` gets each event that was added.
   * @throws what the file system throws; the next look goes on from there.
   */
  look(deliver: (line: AuditLine) => void): Promise<readonly Orphan[]>
}

export function createAdoption(settings: OrphanSettings): Adoption {
  const { directory } = settings
  /** Followed, but not ended yet. */
  const pending = new Map<string, Owner>()

  /** Unfinished; or finished, and of no use to a required sink that was added later. */
  const isOwed = (writer: string): boolean =>
    hasOwner(directory, writer) || settings.required.some((sink) => !hasCursor(join(directory, writer), sink))
  const follow = async (): Promise<void> => {
    for (const writer of await writersIn(directory)) {
      if (writer === settings.writer || pending.has(writer) || !isOwed(writer)) continue
      const owner = followOwner(directory, writer)
      if (owner !== null) pending.set(writer, owner)
    }
  }
  return Object.freeze({
    async look(deliver: (line: AuditLine) => void) {
      await follow()
      const ended: Orphan[] = []
      for (const [writer, owner] of pending) {
        const leftover = await readLeftover(directory, writer)
        if (leftover !== null && !leftover.finished) end(settings, leftover, deliver)
        pending.delete(writer)
        ended.push({ writer, owner })
      }
      return ended
    },
  })
}

function end(
  settings: OrphanSettings,
  { writer, end: from, chain: chainEnd, open }: Leftover,
  deliver: (line: AuditLine) => void,
): void {
  const { directory, clock, signer } = settings
  const journal = createJournalWriter({ directory, writer, clock, from })
  const chain = createChain({ ...settings, writer, linked: true, from: chainEnd })
  const append = (line: AuditLine): void => {
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
}

/** An intent that somebody has changed may hold anything: then the call is counted, at least. */
function lineOf(chain: Chain, intent: AuditIntent, clock: Clock): AuditLine {
  try {
    return chain.next(interrupted(intent.intent, { ...intent, time: Date.parse(intent.time) }))
  } catch {
    return chain.next(systemDraft('audit.gap', clock.now(), { reason: 'process_interrupted' }))
  }
}
