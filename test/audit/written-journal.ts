import { createChain, type Chain } from '../../src/audit/chain/chain.ts'
import type { CheckpointSigner } from '../../src/audit/chain/checkpoint.ts'
import type { AuditDraft } from '../../src/audit/event.ts'
import type { IntentDraft } from '../../src/audit/intent.ts'
import { createJournalWriter, type JournalSettings, type JournalWriter } from '../../src/audit/journal/writer.ts'
import type { AuditLine } from '../../src/audit/sink.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { draft, phi } from '../fixtures/audit.ts'

/** A journal that a test writes line by line, with the real chain and files. */
export interface WrittenJournal {
  readonly journal: JournalWriter
  readonly chain: Chain
  /** The id of the intent. */
  intend(change?: Partial<IntentDraft>, id?: string | null): string
  record(change?: Partial<AuditDraft>): AuditLine
}

export function writtenJournal(
  settings: Partial<JournalSettings> & { directory: string; signer?: CheckpointSigner | null },
): WrittenJournal {
  const { signer = null, ...rest } = settings
  const journal = createJournalWriter({ writer: 'w1', clock: systemClock, ...rest })
  const chain = createChain({
    environment: 'live',
    service: { name: 'records', version: null, instance: 'host:1' },
    writer: journal.writer,
    clock: systemClock,
    linked: true,
    signer,
  })
  journal.open()
  return {
    journal,
    chain,
    intend(change = {}, id = null) {
      const line = chain.nextIntent({ ...intent(), ...change }, id)
      if (!journal.append(line.text)) throw new Error('not written')
      chain.addIntent(line)
      return line.id
    },
    record(change = {}) {
      const line = chain.next(draft(change))
      if (!journal.append(line.text)) throw new Error('not written')
      chain.add(line)
      return line
    },
  }
}

/** What is known of the call of `draft()` before its handler runs. */
export function intent(): IntentDraft {
  const { time, action, actor, scopes, client, requestId } = draft()
  const http = { method: 'GET', route: '/v1/patients/:id', query: ['_count'] }
  return { time, action, actor, scopes, client, http, requestId, phi: phi() }
}
