import type { AuditAction, AuditPhi } from './event.ts'
import { isPatientId, routePhi, type RoutePhi } from './phi-route.ts'

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
  pseudonym(patientId: string): string
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

const NO_ROUTE: RoutePhi = Object.freeze({ patients: [], atPatient: false, level: 'unknown', fhir: null })

/**
 * The PHI access pattern of a call: from scope, route, the guard's annotation and what the handler touched. The strongest
 * source wins, weaker ones fill what it leaves open; `docs/audit-events.md` has the table. A handler that touches a patient
 * behind `phi: false` is believed.
 */
export function patientPhi(facts: PhiFacts): PhiPattern {
  const { annotation, touches } = facts
  if (annotation === false && touches.length === 0) return { action: actionOf(facts.method), phi: null }
  const route = annotation === false ? NO_ROUTE : routePhi(facts.route, facts.params, facts.method)
  const scopes = annotation === false ? [] : scopeTypes(facts.required)
  const types = typesOf(annotation === false ? null : annotation, route, scopes)
  const patients = patientsOf(facts, route)
  const interaction = interactionOf(facts, { route, types })
  return {
    action: (annotation === false ? null : annotation?.action) ?? route.fhir?.action ?? actionOf(facts.method),
    phi: {
      interaction,
      types: touches.length === 0 ? types : withTouched(types, touches),
      patients: patients.map((patient) => facts.pseudonym(patient)),
      patientCount: patients.length === 0 ? null : patients.length,
      resourceCount: facts.resourceCount ?? (isOne(facts, { route, interaction }) ? 1 : null),
      bulk: route.fhir?.bulk === true || patients.length >= BULK_PATIENTS,
      attribution: attributionOf(facts, { route, scopes }),
    },
  }
}

function actionOf(method: string): AuditAction {
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

function withTouched(types: readonly string[], touches: PhiFacts['touches']): readonly string[] {
  return [...new Set([...types, ...touches.map(({ type }) => type)])].slice(0, MAX_TYPES)
}

/** Ids, not pseudonyms: each patient counts once. */
function patientsOf({ annotation, touches }: PhiFacts, route: RoutePhi): readonly string[] {
  const annotated = annotation === false ? null : annotation?.patient
  if (touches.length === 0) return isPatientId(annotated) ? [annotated] : route.patients
  const patients = new Set(isPatientId(annotated) ? [annotated] : route.patients)
  for (const { type, id } of touches) if (type === 'Patient' && isPatientId(id)) patients.add(id)
  return [...patients]
}

interface Found {
  readonly route: RoutePhi
  readonly types: readonly string[]
}

/** `null` where it cannot be told. What the handler touches says nothing of how the call is made. */
function interactionOf({ method, annotation }: PhiFacts, { route, types }: Found): string | null {
  const reads = method === 'GET' || method === 'HEAD'
  const action = annotation === false ? undefined : annotation?.action
  if (action !== undefined) return interactionFor(action, { route, types, reads })
  if (route.fhir !== null && route.fhir.interaction !== null) return route.fhir.interaction
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

function isOne(
  { touches }: PhiFacts,
  { route, interaction }: { route: RoutePhi; interaction: string | null },
): boolean {
  if (route.level !== 'instance' || !OF_ONE.has(interaction)) return false
  return touches.every(({ type, id }) => type === 'Patient' && route.patients.includes(id))
}

function attributionOf(
  { annotation, touches }: PhiFacts,
  { route, scopes }: { route: RoutePhi; scopes: readonly string[] },
): AuditPhi['attribution'] {
  if (touches.length > 0) return 'handler'
  if (annotation !== null) return 'annotation'
  if (route.patients.length > 0 || route.fhir !== null) return 'route'
  return scopes.length > 0 ? 'scope' : 'none'
}
