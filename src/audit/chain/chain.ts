import { hash } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import { uuidv7 } from '../../lib/ids.ts'
import type { Environment } from '../../principal.ts'
import { checkpointText, type CheckpointSigner } from './checkpoint.ts'
import { ChainLine } from './chain-line.ts'
import type { AuditDraft, AuditEvent } from '../event.ts'
import { eventLine } from './event-line.ts'
import type { IntentDraft } from '../intent.ts'
import { intentLine } from './intent-line.ts'
import { instantOf, placedEvent, placedIntent } from './placed-event.ts'
import { fitService } from './fit.ts'

export interface ChainSettings {
  readonly environment: Environment
  readonly service: AuditEvent['service']
  readonly writer: string
  readonly clock: Clock
  /** Each line holds the hash of the one before. */
  readonly linked: boolean
  /** Default: UUIDv7. */
  readonly newId?: ((nowMs: number) => string) | undefined
  /** Signs checkpoints; without it there are none. */
  readonly signer?: CheckpointSigner | null | undefined
  /** Where another process's chain is gone on with. */
  readonly from?: ChainEnd | undefined
}

/** Where a chain ends. */
export interface ChainEnd {
  /** Events so far. */
  readonly seq: number
  /** Intents so far. */
  readonly intents: number
  /** SHA-256 (hex) of the last line. */
  readonly prev: string | null
}

/** An intent and its line. */
export interface IntentLine {
  readonly id: string
  readonly text: string
}

/** One writer's events in their order. What is drawn up counts only once it is added: a line that was not written leaves no hole. */
export interface Chain {
  /** Events so far. */
  readonly length: number
  /** The next line; the same place again until it is added. */
  next(draft: AuditDraft): ChainLine
  add(line: ChainLine): void
  /** As `next` and `add`, for an intent; `id`: of the intent that it adds to, or `null`. */
  nextIntent(draft: IntentDraft, id: string | null): IntentLine
  addIntent(line: IntentLine): void
  /** Splits a draft whose patients do not fit in one line; each part tells the exact number of all. */
  split(draft: AuditDraft): readonly AuditDraft[]
}

const MAX_LINE_BYTES = 32_768
const MAX_PATIENTS = 500
/** Up to here they fit, whatever else the line holds. */
const FEW_PATIENTS = 50
/** First events whose parts are still counted. */
const MAX_NUMBERED = 1000
/** Quotes and comma. */
const AROUND_TEXT = 3
/** A later part names the first: 48 bytes and its number; `seq` grows. */
const GROWTH = 128

export function createChain(settings: ChainSettings): Chain {
  const { environment, writer, clock, linked } = settings
  const { newId = uuidv7, signer = null, from = START } = Object.assign(Object.create(null), settings) as ChainSettings
  const service = fitService(settings.service)
  /** By the id of a first event: the number of its last part. */
  const parts = new Map<string, number>()
  let { seq, intents, prev } = from

  const follow = (text: string): void => {
    if (linked) prev = hash('sha256', text, 'hex')
  }
  const next = (draft: AuditDraft): ChainLine => {
    const recorded = clock.now()
    const place = {
      id: draft.id ?? newId(recorded),
      recorded,
      env: environment,
      service,
      writer,
      seq: seq + 1,
      prev,
    }
    const checkpoint =
      draft.name === 'audit.checkpoint'
        ? signer?.sign(checkpointText({ ...place, recorded: instantOf(recorded) }))
        : undefined
    const whole = numbered(draft, parts)
    const event = placedEvent(whole, checkpoint === undefined ? place : { ...place, checkpoint })
    return new ChainLine(place.id, whole, eventLine(event))
  }

  return Object.freeze({
    get length() {
      return seq
    },
    next,
    add({ draft: { part }, text }: ChainLine) {
      seq += 1
      if (part !== null) putNewest(parts, part)
      follow(text)
    },
    nextIntent(draft: IntentDraft, known: string | null) {
      const id = known ?? newId(draft.time)
      return { id, text: intentLine(placedIntent(draft, { id, n: intents + 1, env: environment, writer, prev })) }
    },
    addIntent({ text }: IntentLine) {
      intents += 1
      follow(text)
    },
    split(draft: AuditDraft) {
      const { phi } = draft
      if (phi === null || phi.patients.length <= FEW_PATIENTS) return [draft]
      const bare = Buffer.byteLength(next({ ...draft, phi: { ...phi, patients: [] } }).text)
      return splitPatients({ ...draft, phi }, MAX_LINE_BYTES - bare - GROWTH)
    },
  })
}

const START: ChainEnd = Object.freeze({ seq: 0, intents: 0, prev: null })

/** What a handler touches late and what did not fit in one line continue the same event: their numbers must not collide. */
function numbered(draft: AuditDraft, parts: ReadonlyMap<string, number>): AuditDraft {
  if (draft.part === null) return draft
  const { n, of_id } = draft.part
  return { ...draft, part: { n: Math.max(n, (parts.get(of_id) ?? 1) + 1), of_id } }
}

function putNewest(parts: Map<string, number>, { n, of_id }: { readonly n: number; readonly of_id: string }): void {
  parts.delete(of_id)
  parts.set(of_id, n)
  const [oldest] = parts.keys()
  if (parts.size > MAX_NUMBERED && oldest !== undefined) parts.delete(oldest)
}

function splitPatients(
  draft: AuditDraft & { readonly phi: NonNullable<AuditDraft['phi']> },
  room: number,
): readonly AuditDraft[] {
  const { patients } = draft.phi
  const parts: AuditDraft[] = []
  let start = 0
  let bytes = 0
  for (const [at, patient] of patients.entries()) {
    const more = patient.length + AROUND_TEXT
    if (at > start && (at - start === MAX_PATIENTS || bytes + more > room)) {
      parts.push({ ...draft, phi: { ...draft.phi, patients: patients.slice(start, at) } })
      start = at
      bytes = 0
    }
    bytes += more
  }
  parts.push({ ...draft, phi: { ...draft.phi, patients: patients.slice(start) } })
  return parts
}
