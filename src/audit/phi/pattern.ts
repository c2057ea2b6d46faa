import type { AuditAction, AuditPhi } from '../event.ts'
import type { BodyPhi } from './body.ts'
import { queryPatients, type PhiQuery } from './query.ts'
import { isFhirResourceType } from './fhir-resource-types.ts'
import { isPatientId, routePhi, type RoutePhi } from './route.ts'

/** What is known of a call when its event is built. */
export interface PhiFacts {
  readonly method: string
  /** The template; `*` where it cannot be told. */
  readonly route: string
  readonly params: Readonly<Record<string, string>>
  /** The scopes that the guards asked for. */
  readonly required: readonly string[]
  /** The guard's `phi` option, its patient already evaluated; `false`: no PHI here; `null`: the guard says nothing. */
  readonly annotation:
    | { readonly type: string; readonly action: AuditAction | undefined; readonly patient: string | null }
    | false
    | null
  /** What the handler says it has touched. */
  readonly touches: readonly { readonly type: string; readonly id: string }[]
  /** What the handler has counted. */
  readonly resourceCount: number | null
  /** What the answer shows; `null`: nothing that can be told, or it was an error. */
  readonly body: BodyPhi | null
  /** Of the answer; `null`: there is none, or none yet. */
  readonly status: number | null
  /** The request says to create only what is not there (`If-None-Exist`). */
  readonly ifNoneExist: boolean
  /** The query, which is read on FHIR's routes alone. */
  query(): PhiQuery
  pseudonym(patientId: string): string
  /** How many patients are named at most; `patientCount` still tells the number of all. Default: all. */
  readonly limit?: number | undefined
}

export interface PhiPattern {
  readonly action: AuditAction
  /** `null`: no PHI is concerned. */
  readonly phi: AuditPhi | null
}

/** From so many patients on, a call is one to look at. */
const BULK_PATIENTS = 50
const MAX_TYPES = 32

const SCOPE_TYPES: ReadonlyMap<string, string> = new Map([
  ['read:patients', 'Patient'],
  ['write:patients', 'Patient'],
  ['read:observations', 'Observation'],
  ['write:observations', 'Observation'],
])

const METHODS: ReadonlyMap<string, { readonly action: AuditAction; readonly interaction: string }> = new Map([
  ['POST', { action: 'C', interaction: 'create' }],
  ['PUT', { action: 'U', interaction: 'update' }],
  ['PATCH', { action: 'U', interaction: 'patch' }],
  ['DELETE', { action: 'D', interaction: 'delete' }],
])

/** Interactions with exactly one resource, where the route ends in its id. */
const OF_ONE: ReadonlySet<string | null> = new Set(['read', 'vread', 'update', 'patch', 'delete'])

const NOBODY: readonly string[] = Object.freeze([])
const NO_ROUTE: RoutePhi = Object.freeze({ patients: NOBODY, atPatient: false, level: 'unknown', fhir: null })

/**
 * The PHI access pattern of a call: from scope, route, the guard's annotation, what the handler touched and what the answer
 * shows. The strongest source wins, weaker ones fill what it leaves open; `docs/audit-events.md` has the table. A handler that
 * touches a patient behind `phi: false`, and an answer that shows one there, are believed.
 */
export function patientPhi(facts: PhiFacts): PhiPattern {
  const { annotation, touches, body } = facts
  const silent = annotation === false
  if (silent && touches.length === 0 && (body === null || body.patients.length === 0)) {
    return { action: methodAction(facts.method), phi: null }
  }
  const route = silent ? NO_ROUTE : routePhi(facts.route, facts.params, facts.method)
  const scopes = silent ? [] : scopeTypes(facts.required)
  const types = typesOf(silent ? null : annotation, route, scopes)
  const patients = patientsOf(facts, route)
  const { action, interaction } = asAnswered(facts, {
    action: actionOf(facts, route),
    interaction: interactionOf(facts, { route, types }),
  })
  return {
    action,
    phi: {
      interaction,
      types: shownTypes(facts, types),
      patients: patients.slice(0, facts.limit).map((patient) => facts.pseudonym(patient)),
      patientCount: patients.length === 0 ? null : patients.length,
      resourceCount: resourceCountOf(facts, { route, interaction }),
      bulk: route.fhir?.bulk === true || patients.length >= BULK_PATIENTS || body?.resourceCount === null,
      attribution: attributionOf(facts, { route, scopes }),
    },
  }
}

type Access = Pick<PhiPattern, 'action'> & Pick<AuditPhi, 'interaction'>

/**
 * FHIR R4 sections 3.1.0.4.1 and 3.1.0.8.1: a PUT answered with 201 has created, a conditional create answered with 200 has
 * found what was there. An action that the guard names stands.
 */
function asAnswered({ method, annotation, status, ifNoneExist }: PhiFacts, access: Access): Access {
  if (annotation !== null && annotation !== false && annotation.action !== undefined) return access
  if (access.action === 'U' && status === 201 && (method === 'PUT' || method === 'PATCH'))
    return { action: 'C', interaction: 'create' }
  if (access.action === 'C' && method === 'POST' && status === 200 && ifNoneExist) {
    return { action: 'R', interaction: access.interaction === 'create' ? 'read' : access.interaction }
  }
  return access
}

function actionOf({ method, annotation, body }: PhiFacts, route: RoutePhi): AuditAction {
  const annotated = annotation === null || annotation === false ? undefined : annotation.action
  if (annotated !== undefined) return annotated
  return isBatch(body) ? 'E' : (route.fhir?.action ?? methodAction(method))
}

/** Mixed actions (FHIR R4 section 3.1.0.11): the call as a whole executes. */
function isBatch(body: BodyPhi | null): body is BodyPhi {
  return body !== null && body.interaction !== null
}

function methodAction(method: string): AuditAction {
  if (method === 'GET' || method === 'HEAD') return 'R'
  return METHODS.get(method)?.action ?? 'E'
}

function scopeTypes(required: readonly string[]): readonly string[] {
  const types = required.map((scope) => SCOPE_TYPES.get(scope)).filter((type) => type !== undefined)
  return types.length < 2 ? types : [...new Set(types)]
}

function typesOf(
  annotation: Exclude<PhiFacts['annotation'], false>,
  route: RoutePhi,
  scopes: readonly string[],
): readonly string[] {
  if (annotation !== null) return [annotation.type]
  const type = route.fhir?.type ?? null
  if (type !== null) return [type]
  if (scopes.length > 0) return scopes
  return route.atPatient && route.patients.length > 0 ? ['Patient'] : []
}

/** What the answer shows, or else what the weaker sources say; and what the handler has touched beside. */
function shownTypes({ touches, body }: PhiFacts, types: readonly string[]): readonly string[] {
  const shown = body === null || body.types.length === 0 ? types : body.types
  if (touches.length === 0 && shown.length <= MAX_TYPES) return shown
  // A handler may hand on what the caller wrote: only FHIR's own words go into the event.
  const touched = touches.map(({ type }) => (isFhirResourceType(type) ? type : '*'))
  return [...new Set([...shown, ...touched])].slice(0, MAX_TYPES)
}

/** Ids, not pseudonyms: each patient counts once. */
function patientsOf({ annotation, touches, body, query }: PhiFacts, route: RoutePhi): readonly string[] {
  const annotated = annotation === false ? null : annotation?.patient
  const patients =
    body !== null && body.patients.length > 0
      ? body.patients
      : isPatientId(annotated)
        ? [annotated]
        : askedFor(route, query)
  if (touches.length === 0) return patients
  const all = new Set(patients)
  for (const { type, id } of touches) if (type === 'Patient' && isPatientId(id)) all.add(id)
  return [...all]
}

/** In the path, and in the parameters of a FHIR search. */
function askedFor({ patients, fhir }: RoutePhi, query: PhiFacts['query']): readonly string[] {
  const asked = fhir === null ? NOBODY : queryPatients(query(), fhir.type)
  return asked.length === 0 ? patients : [...new Set([...patients, ...asked])]
}

interface Found {
  readonly route: RoutePhi
  readonly types: readonly string[]
}

/** `null` where it cannot be told. What the handler touches says nothing of how the call is made. */
function interactionOf({ method, annotation, body }: PhiFacts, { route, types }: Found): string | null {
  const reads = method === 'GET' || method === 'HEAD'
  const action = annotation === false ? undefined : annotation?.action
  if (action !== undefined) return interactionFor(action, { route, types, reads })
  if (isBatch(body)) return body.interaction
  if (route.fhir !== null && (route.fhir.interaction !== null || route.fhir.type === null))
    return route.fhir.interaction
  if (types.length === 0) return null
  return reads ? readingOf(route, types) : (METHODS.get(method)?.interaction ?? null)
}

function interactionFor(action: AuditAction, { route, types, reads }: Found & { reads: boolean }): string | null {
  if (action === 'C') return 'create'
  if (action === 'U') return 'update'
  if (action === 'D') return 'delete'
  if (action === 'R') return readingOf(route, types)
  return reads && readingOf(route, types) === 'search-type' ? 'search-type' : 'operation'
}

/** `/patients/:id/summary` is still a read of the patient; `/patients/:id/observations` a search for observations. */
function readingOf(route: RoutePhi, types: readonly string[]): string | null {
  if (route.level === 'unknown') return null
  const ofPatient = route.patients.length > 0 && types.length === 1 && types[0] === 'Patient'
  return route.level === 'instance' || ofPatient ? 'read' : 'search-type'
}

/** As shown, as counted, or the one that the route ends in, unless the answer is an error. */
function resourceCountOf(facts: PhiFacts, access: { route: RoutePhi; interaction: string | null }): number | null {
  const { body, resourceCount, status } = facts
  if (body !== null) return body.resourceCount ?? resourceCount
  if (resourceCount !== null) return resourceCount
  return (status === null || status < 400) && isOne(facts, access) ? 1 : null
}

function isOne(
  { touches }: PhiFacts,
  { route, interaction }: { route: RoutePhi; interaction: string | null },
): boolean {
  if (route.level !== 'instance' || !OF_ONE.has(interaction)) return false
  return touches.every(({ type, id }) => type === 'Patient' && route.patients.includes(id))
}

function attributionOf(
  { annotation, touches, body }: PhiFacts,
  { route, scopes }: { route: RoutePhi; scopes: readonly string[] },
): AuditPhi['attribution'] {
  if (body !== null) return 'body'
  if (touches.length > 0) return 'handler'
  if (annotation !== null) return 'annotation'
  if (route.patients.length > 0 || route.fhir !== null) return 'route'
  return scopes.length > 0 ? 'scope' : 'none'
}
