import type { AuditAction } from '../event.ts'
import { isFhirResourceType } from './fhir-resource-types.ts'
import { readTemplate, type RouteSegment } from './route-template.ts'

/** What a route says of the PHI behind it. */
export interface RoutePhi {
  /** The values of the parameters that follow a segment `patient` or `patients`, each once. */
  readonly patients: readonly string[]
  /** The last segment is such a parameter: the route is the patient itself, not something beneath. */
  readonly atPatient: boolean
  /** One thing (`instance`), a collection (`type`), or it cannot be told. */
  readonly level: 'instance' | 'type' | 'unknown'
  readonly fhir: FhirRoute | null
}

/** A route in the shape of FHIR's RESTful API. */
export interface FhirRoute {
  /** `null`: an operation of the whole system. */
  readonly type: string | null
  /** `null`: the shape alone does not say it, the method does. */
  readonly interaction: string | null
  readonly action: AuditAction | null
  readonly bulk: boolean
}

/** What can be told from a template alone, before there are parameters. */
interface RouteShape {
  /** Names of the parameters that follow a segment `patient` or `patients`. */
  readonly patients: readonly string[]
  readonly atPatient: boolean
  readonly level: RoutePhi['level']
  readonly reading: FhirRoute | null
  readonly writing: FhirRoute | null
  /** The name of the parameter at the end; `null`: the template ends otherwise. */
  readonly last: string | null
  /** Where that parameter has no value, for it is optional: `/patients{/:id}` without the id is the collection. */
  readonly shorter: RouteShape | null
}

const MAX_PATIENT_ID = 256
const MAX_SHAPES = 1000
const shapes = new Map<string, RouteShape>()
const NOBODY: readonly string[] = Object.freeze([])

export function routePhi(route: string, params: Readonly<Record<string, string>>, method: string): RoutePhi {
  let shape = shapeOf(route)
  while (shape.last !== null && shape.shorter !== null && valueOf(shape.last, params) === null) shape = shape.shorter
  return {
    patients: shape.patients.length === 0 ? NOBODY : patientsIn(shape.patients, params),
    atPatient: shape.atPatient,
    level: shape.level,
    fhir: fhirOf(shape, method),
  }
}

function fhirOf({ reading, writing }: RouteShape, method: string): FhirRoute | null {
  if (method === 'GET' || method === 'HEAD') return reading
  return writing === BATCH && method !== 'POST' ? null : writing
}

/** An id that can stand for a patient. */
export function isPatientId(id: unknown): id is string {
  return typeof id === 'string' && id.length > 0 && id.length <= MAX_PATIENT_ID
}

/** Templates are few, but who builds routes in a loop must not fill the memory. */
function shapeOf(route: string): RouteShape {
  const known = shapes.get(route)
  if (known !== undefined) return known
  if (shapes.size >= MAX_SHAPES) shapes.clear()
  const { segments, complete } = readTemplate(route)
  const fresh = compile(segments, complete)
  shapes.set(route, fresh)
  return fresh
}

function compile(segments: readonly RouteSegment[], complete: boolean): RouteShape {
  const last = segments.at(-1)
  const name = complete && last?.kind === 'parameter' ? last.name : null
  return Object.freeze({
    patients: segments.flatMap((segment, index) =>
      segment.kind === 'parameter' && isPatientSegment(segments[index - 1]) ? [segment.name] : [],
    ),
    atPatient: name !== null && isPatientSegment(segments.at(-2)),
    level: !complete || last === undefined || last.kind === 'open' ? 'unknown' : name === null ? 'type' : 'instance',
    reading: complete ? fhirRoute(segments, true) : null,
    writing: complete ? fhirRoute(segments, false) : null,
    last: name,
    shorter: name === null ? null : compile(segments.slice(0, -1), complete),
  })
}

function patientsIn(names: readonly string[], params: Readonly<Record<string, string>>): readonly string[] {
  const patients: string[] = []
  for (const name of names) {
    const value = valueOf(name, params)
    if (isPatientId(value) && !patients.includes(value)) patients.push(value)
  }
  return patients
}

/** Own members only: what somebody has put on a prototype is nobody's patient. */
function valueOf(name: string, params: Readonly<Record<string, string>>): string | null {
  const value: unknown = Object.hasOwn(params, name) ? params[name] : null
  return typeof value === 'string' && value !== '' ? value : null
}

function isPatientSegment(segment: RouteSegment | undefined): boolean {
  return segment?.kind === 'literal' && /^patients?$/i.test(segment.text)
}

/** FHIR R4 section 3.1: `[base]/[type]/[id]/_history/[vid]`, `…/[compartment]/[id]/[type]`, `…/$operation`. */
function fhirRoute(segments: readonly RouteSegment[], reads: boolean): FhirRoute | null {
  const at = segments.findLastIndex((segment) => segment.kind === 'literal' && isFhirResourceType(segment.text))
  const type = textOf(segments[at])
  const operation = textOf(segments.at(-1))
  if (operation !== null && /^\$[A-Za-z]/.test(operation)) {
    return Object.freeze({ type, interaction: 'operation', action: 'E', bulk: operation === '$export' })
  }
  if (type === null) return !reads && isBase(segments) ? BATCH : null
  return Object.freeze({ type, ...interactionOf(segments.slice(at + 1), reads), bulk: false })
}

/** A POST to the base is a batch or a transaction (section 3.1.0.11); its answer says which. */
const BATCH: FhirRoute = Object.freeze({ type: null, interaction: null, action: 'E', bulk: false })

/** `…/fhir`, with or without the version behind it. */
function isBase(segments: readonly RouteSegment[]): boolean {
  const [last, before] = [textOf(segments.at(-1)), textOf(segments.at(-2))]
  return last !== null && (/^fhir$/i.test(last) || (/^(r4b?|4\.0|4_0)$/i.test(last) && /^fhir$/i.test(before ?? '')))
}

type FhirInteraction = Pick<FhirRoute, 'interaction' | 'action'>

/** By what follows the type; `id` stands for any segment that is no keyword. */
const READING: ReadonlyMap<string, FhirInteraction> = new Map<string, FhirInteraction>([
  ['', { interaction: 'search-type', action: 'E' }],
  ['_search', { interaction: 'search-type', action: 'E' }],
  ['_history', { interaction: 'history-type', action: 'R' }],
  ['id', { interaction: 'read', action: 'R' }],
  ['id/_history', { interaction: 'history-instance', action: 'R' }],
  ['id/_history/id', { interaction: 'vread', action: 'R' }],
])
const WRITING: ReadonlyMap<string, FhirInteraction> = new Map<string, FhirInteraction>([
  ['_search', { interaction: 'search-type', action: 'E' }],
])
const BY_METHOD: FhirInteraction = { interaction: null, action: null }

function interactionOf(rest: readonly RouteSegment[], reads: boolean): FhirInteraction {
  if (rest.some(({ kind }) => kind === 'open')) return BY_METHOD
  const tail = rest.map((segment) => (isKeyword(segment) ? segment.text : 'id')).join('/')
  return (reads ? READING : WRITING).get(tail) ?? BY_METHOD
}

function isKeyword(segment: RouteSegment): segment is Extract<RouteSegment, { kind: 'literal' }> {
  return segment.kind === 'literal' && segment.text.startsWith('_')
}

function textOf(segment: RouteSegment | undefined): string | null {
  return segment?.kind === 'literal' ? segment.text : null
}
