/** What a handler says about the PHI it touches: `req.audit`, `ctx.state.audit`, `request.audit`. */
export interface AuditHandle {
  /** A resource that is read or changed, as a FHIR reference: `touch('Patient/123')`. */
  touch(reference: string): void
  /** How many resources the answer holds. */
  count(resources: number): void
  /** Purpose of use, a code of HL7's PurposeOfUse value set such as `TREAT`. */
  purpose(code: string): void
}

export interface Touch {
  readonly type: string
  readonly id: string
}

/** What the handler has said so far. */
export interface AuditNotes {
  readonly touches: Touch[]
  resourceCount: number | null
  purpose: string | null
  /** Set once the event is recorded: what is said later goes here, into an event of its own. */
  late: ((touch: Touch) => void) | null
}

export function createNotes(): AuditNotes {
  return { touches: [], resourceCount: null, purpose: null, late: null }
}

/** FHIR R4 section 2.24.0.1: a type, and an id of up to 64 letters, digits, `-` and `.`; longer ids of other systems pass too. */
const REFERENCE = /^([A-Z][A-Za-z]{1,63})\/([^/\s]{1,256})$/

/** @throws {TypeError} on anything that is no reference, count or code; the value is never repeated, it may be PHI. */
export function auditHandle(notes: AuditNotes): AuditHandle {
  return Object.freeze({
    touch(reference: string) {
      const [, type, id] = REFERENCE.exec(reference) ?? []
      if (type === undefined || id === undefined) {
        throw new TypeError('audit.touch takes a reference of the form Type/id, such as Patient/123.')
      }
      if (notes.late === null) notes.touches.push({ type, id })
      else notes.late({ type, id })
    },
    count(resources: number) {
      if (!Number.isSafeInteger(resources) || resources < 0)
        throw new TypeError('audit.count takes a whole number of resources.')
      notes.resourceCount = resources
    },
    purpose(code: string) {
      if (typeof code !== 'string' || !/^[A-Z][A-Z0-9_]{1,31}$/.test(code)) {
        throw new TypeError('audit.purpose takes a PurposeOfUse code, such as TREAT.')
      }
      notes.purpose = code
    },
  })
}
