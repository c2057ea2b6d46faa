import { hostname } from 'node:os'
import { createCaretaker, type Caretaker } from './audit/caretaker/caretaker.ts'
import { createCheckpointSigner, type CheckpointSigner } from './audit/chain/checkpoint.ts'
import type { AuditEvent } from './audit/event.ts'
import { createDiskSpace } from './audit/journal/disk-space.ts'
import { ownWriter } from './audit/journal/owner.ts'
import { createJournalWriter } from './audit/journal/writer.ts'
import { createAdoption } from './audit/caretaker/orphans.ts'
import { createAuditMetrics } from './audit/recorder/metrics.ts'
import { createRecorder, type Recorder } from './audit/recorder/recorder.ts'
import { createRetention } from './audit/caretaker/retention.ts'
import { randomHex } from './lib/ids.ts'
import type { ParsedOptions } from './options/parsed-options.ts'

/** The recorder with all that stands behind it: the journal of a live server, and who looks after its folder. */
export function buildRecorder(options: ParsedOptions): Recorder {
  const { environment, audit, clock } = options
  const parts: AuditParts = {
    writer: randomHex(5),
    service: serviceOf(options),
    signer: audit.signingKey === undefined ? null : createCheckpointSigner(audit.signingKey),
  }
  const metrics = createAuditMetrics()
  const settings = { ...parts, metrics, environment, clock, ...audit, onEvent: audit.onEvent ?? null }
  const { directory } = audit
  if (environment === 'test' || directory === undefined) return createRecorder({ ...settings, journal: null })
  const caretaker = buildCaretaker(options, directory, parts)
  const { writer } = parts
  return createRecorder({
    ...settings,
    journal: createJournalWriter({
      directory,
      writer,
      clock,
      owner: caretaker,
      observe: metrics,
      keepsLines: audit.durability === 'synced',
    }),
    caretaker,
    disk: createDiskSpace({ directory, clock }),
  })
}

interface AuditParts {
  readonly writer: string
  readonly service: AuditEvent['service']
  readonly signer: CheckpointSigner | null
}

function buildCaretaker({ environment, audit, clock }: ParsedOptions, directory: string, parts: AuditParts): Caretaker {
  const { writer } = parts
  const sinks = audit.sinks.filter(({ acks }) => acks)
  const localDays = audit.localDays ?? audit.retentionDays
  const retention = createRetention({ ...parts, directory, clock, localDays })
  return createCaretaker({
    directory,
    writer,
    sinks,
    adoption: createAdoption({ ...parts, directory, environment, clock, sinks: sinks.map(({ name }) => name) }),
    own: () => ownWriter(directory, writer),
    retire: ({ append }) => retention.retire(sinks, append),
  })
}

function serviceOf({ service: { name, version, instance } }: ParsedOptions): AuditEvent['service'] {
  return { name, version: version ?? null, instance: instance ?? `${hostname()}:${process.pid}` }
}
