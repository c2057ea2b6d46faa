import { AsyncLocalStorage } from 'node:async_hooks'

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
}

/** FHIR R4 section 2.24.0.1: a type, and an id of up to 64 letters, digits, `-` and `.`; longer ids of other systems pass too. */
const REFERENCE = /^([A-Z][A-Za-z]{1,63})\/([^/\s]{1,256})$/

/**
 * `late`: takes a touch where the event is recorded already, and says so.
 * @throws {TypeError} on anything that is no reference, count or code; the value is never repeated, it may be PHI.
 */
export function auditHandle(notes: AuditNotes, late: (touch: Touch) => boolean): AuditHandle {
  return Object.freeze({
    touch(reference: string) {
      const [, type, id] = REFERENCE.exec(reference) ?? []
      if (type === undefined || id === undefined) {
        throw new TypeError('audit.touch takes a reference of the form Type/id, such as Patient/123.')
      }
      if (!late({ type, id })) notes.touches.push({ type, id })
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

/** The request whose handler is running: Node's own object, for it is the same for every `auth` and framework. */
const underWay = new AsyncLocalStorage<object>()

/** Runs the handler of a guarded call, so that whatever it calls and awaits finds its request. */
export function within<T>(request: object, work: () => T): T {
  return underWay.getStore() === request ? work() : underWay.run(request, work)
}

/**
 * The handle of the call whose handler is running, for code that is not given its request.
 * @throws {TypeError} where there is none: a mistake in the program, and what is touched there would stand in no event.
 */
export function handleInContext(find: (request: object) => AuditHandle | null): AuditHandle {
  const handle = (): AuditHandle => {
    const request = underWay.getStore()
    const found = request === undefined ? null : find(request)
    if (found !== null) return found
    throw new TypeError(
      'auth.audit was used outside of a request that a guard of this auth has passed. ' +
        'Guard the route, or call auth.audit from its handler and what that awaits.',
    )
  }
  return Object.freeze({
    touch: (reference: string) => handle().touch(reference),
    count: (resources: number) => handle().count(resources),
    purpose: (code: string) => handle().purpose(code),
  })
}
