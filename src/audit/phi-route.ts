import type { AuditAction } from './event.ts'
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

/** What can be told from a template alone, once. */
interface CompiledRoute {
  readonly segments: readonly RouteSegment[]
  readonly complete: boolean
}

const MAX_PATIENT_ID = 256
const MAX_COMPILED = 1000
const compiled = new Map<string, CompiledRoute>()

export function routePhi(route: string, params: Readonly<Record<string, string>>, method: string): RoutePhi {
  const { segments: all, complete } = compile(route)
  const segments = withoutAbsent(all, params)
  const patients = patientsIn(segments, params)
  const last = segments.at(-1)
  return {
    patients: [...new Set(patients)],
    atPatient: complete && last?.kind === 'parameter' && isPatientSegment(segments.at(-2)),
    level:
      !complete || last === undefined || last.kind === 'open'
        ? 'unknown'
        : last.kind === 'parameter'
          ? 'instance'
          : 'type',
    fhir: complete ? fhirRoute(segments, method) : null,
  }
}

/** An id that can stand for a patient. */
export function isPatientId(id: unknown): id is string {
  return typeof id === 'string' && id.length > 0 && id.length <= MAX_PATIENT_ID
}

/** Templates are few, but who builds routes in a loop must not fill the memory. */
function compile(route: string): CompiledRoute {
  const known = compiled.get(route)
  if (known !== undefined) return known
  if (compiled.size >= MAX_COMPILED) compiled.clear()
  const fresh = readTemplate(route)
  compiled.set(route, fresh)
  return fresh
}

/** `/patients{/:id}` without the id is the collection. */
function withoutAbsent(
  segments: readonly RouteSegment[],
  params: Readonly<Record<string, string>>,
): readonly RouteSegment[] {
  const last = segments.at(-1)
  if (last?.kind !== 'parameter' || valueOf(last, params) !== null) return segments
  return withoutAbsent(segments.slice(0, -1), params)
}

function patientsIn(segments: readonly RouteSegment[], params: Readonly<Record<string, string>>): string[] {
  const patients: string[] = []
  for (const [index, segment] of segments.entries()) {
    if (segment.kind !== 'parameter' || !isPatientSegment(segments[index - 1])) continue
    const value = valueOf(segment, params)
    if (isPatientId(value)) patients.push(value)
  }
  return patients
}

function valueOf({ name }: { readonly name: string }, params: Readonly<Record<string, string>>): string | null {
  const value: unknown = Object.hasOwn(params, name) ? params[name] : null
  return typeof value === 'string' && value !== '' ? value : null
}

function isPatientSegment(segment: RouteSegment | undefined): boolean {
  return segment?.kind === 'literal' && /^patients?$/i.test(segment.text)
}

/** FHIR R4 section 3.1: `[base]/[type]/[id]/_history/[vid]`, `…/[compartment]/[id]/[type]`, `…/$operation`. */
function fhirRoute(segments: readonly RouteSegment[], method: string): FhirRoute | null {
  const at = segments.findLastIndex((segment) => segment.kind === 'literal' && isFhirResourceType(segment.text))
  const type = textOf(segments[at])
  const operation = textOf(segments.at(-1))
  if (operation !== null && /^\$[A-Za-z]/.test(operation)) {
    return { type, interaction: 'operation', action: 'E', bulk: operation === '$export' }
  }
  if (type === null) return null
  return { type, ...shapeOf(segments.slice(at + 1), method), bulk: false }
}

function shapeOf(rest: readonly RouteSegment[], method: string): Pick<FhirRoute, 'interaction' | 'action'> {
  const shape = rest
    .map((segment) => (segment.kind === 'literal' && segment.text.startsWith('_') ? segment.text : 'id'))
    .join('/')
  if (rest.some(({ kind }) => kind === 'open')) return { interaction: null, action: null }
  const reads = method === 'GET' || method === 'HEAD'
  if (shape === '_search') return { interaction: 'search-type', action: 'E' }
  if (shape === '') return reads ? { interaction: 'search-type', action: 'E' } : { interaction: null, action: null }
  if (!reads) return { interaction: null, action: null }
  if (shape === 'id') return { interaction: 'read', action: 'R' }
  if (shape === '_history') return { interaction: 'history-type', action: 'R' }
  if (shape === 'id/_history') return { interaction: 'history-instance', action: 'R' }
  if (shape === 'id/_history/id') return { interaction: 'vread', action: 'R' }
  return { interaction: null, action: null }
}

function textOf(segment: RouteSegment | undefined): string | null {
  return segment?.kind === 'literal' ? segment.text : null
}
