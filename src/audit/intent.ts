import type { AuditActor, AuditDraft, AuditPhi } from './event.ts'
import type { Environment } from '../principal.ts'

/**
 * What is known before the handler of a live call runs. Its line is in the journal by then; the event of the call follows
 * under the same id, or, where the process died first, an event with outcome `interrupted` that knows no more than this.
 */
export interface IntentDraft {
  /** Epoch milliseconds: when the request was received. */
  readonly time: number
  readonly action: AuditDraft['action']
  readonly actor: AuditActor
  readonly scopes: AuditDraft['scopes']
  readonly client: AuditDraft['client']
  readonly http: { readonly method: string; readonly route: string; readonly query: readonly string[] }
  readonly requestId: string | null
  readonly phi: AuditPhi | null
}

/** A line of the journal that is no event: readers and sinks never see it. Of several with one id the last one counts. */
export interface AuditIntent extends Omit<IntentDraft, 'time'> {
  readonly v: 1
  /** The id of the event to come. */
  readonly intent: string
  /** Contiguous over the intent lines of a writer, from 1. */
  readonly n: number
  readonly time: string
  readonly env: Environment
  readonly writer: string
  /** SHA-256 (hex) of the line before, event or intent, without its newline; `null` on a writer's first line. */
  readonly prev: string | null
}
