import type { AuditAction, AuditEvent } from '../event.ts'

/** The profiles of BALP for RESTful activities; each has a second one with a patient. */
export type RestProfile = 'Create' | 'Read' | 'Update' | 'Delete' | 'Query'

export interface Interaction {
  readonly code: string
  /** What BALP asks for; `null`: BALP has no profile, and the event's own action stands. */
  readonly action: AuditAction | null
  readonly profile: RestProfile | null
}

const ROWS: readonly (readonly [code: string, action: AuditAction | null, profile: RestProfile | null])[] = [
  ['read', 'R', 'Read'],
  ['vread', 'R', 'Read'],
  ['create', 'C', 'Create'],
  ['update', 'U', 'Update'],
  ['patch', 'U', 'Update'],
  ['delete', 'D', 'Delete'],
  ['search', 'E', 'Query'],
  ['search-type', 'E', 'Query'],
  ['search-system', 'E', 'Query'],
  ['history', null, null],
  ['history-instance', null, null],
  ['history-type', null, null],
  ['history-system', null, null],
  ['capabilities', null, null],
  ['transaction', null, null],
  ['batch', null, null],
  ['operation', null, null],
]

const INTERACTIONS: ReadonlyMap<string, Interaction> = new Map(
  ROWS.map(([code, action, profile]) => [code, Object.freeze({ code, action, profile })]),
)

/** FHIR R4 `restful-interaction`; `null` where the event names none of its codes. */
export function interactionOf({ phi }: Pick<AuditEvent, 'phi'>): Interaction | null {
  return INTERACTIONS.get(phi?.interaction ?? '') ?? null
}

/** A search is `E` in BALP, whatever its route made of it. */
export function actionOf(event: AuditEvent): AuditAction | null {
  return interactionOf(event)?.action ?? event.action
}
