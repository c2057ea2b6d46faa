import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'

/** FHIR's own files: its definitions are the oracle, its examples what is walked. */
export const FOLDER = path.join(import.meta.dirname, '../../../node_modules/hl7.fhir.r4.examples')

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }
export type JsonObject = Readonly<Record<string, Json>>

export function readFhir(file: string): JsonObject {
  return JSON.parse(readFileSync(path.join(FOLDER, file), 'utf8')) as JsonObject
}

export function fhirFiles(maxBytes = Infinity): readonly string[] {
  return readdirSync(FOLDER)
    .filter((file) => /^[A-Z]\w+-.*\.json$/.test(file))
    .filter((file) => statSync(path.join(FOLDER, file)).size <= maxBytes)
}

interface Parameter {
  readonly code: string
  /** Elements of the resource, such as `participant.actor`. */
  readonly paths: readonly string[]
}

/** By type: the search parameters of `CompartmentDefinition/patient`, in its order, with the elements that they look at. */
export const COMPARTMENT: ReadonlyMap<string, readonly Parameter[]> = readCompartment()

/** Types outside of the compartment that can be searched by `patient` all the same. */
export const BESIDE: ReadonlyMap<string, readonly Parameter[]> = readBeside()

function searchParameters(): readonly JsonObject[] {
  return fhirFiles()
    .filter((file) => file.startsWith('SearchParameter-'))
    .map(readFhir)
}

function readCompartment(): Map<string, readonly Parameter[]> {
  const all = searchParameters()
  const definition = readFhir('CompartmentDefinition-patient.json')
  const types = definition['resource'] as readonly { code: string; param?: readonly string[] }[]
  return new Map(
    types
      .filter(({ param }) => param !== undefined)
      .map(({ code: type, param = [] }) => [
        type,
        param.map((code) => ({ code, paths: pathsOf(all.find(isFor(type, code)), type) })),
      ]),
  )
}

function readBeside(): Map<string, readonly Parameter[]> {
  const beside = searchParameters().filter(({ code, type, target }) => {
    return code === 'patient' && type === 'reference' && (target as readonly string[]).includes('Patient')
  })
  return new Map(
    beside
      .flatMap((parameter) => (parameter['base'] as readonly string[]).map((type) => [type, parameter] as const))
      .filter(([type]) => !COMPARTMENT.has(type))
      .map(([type, parameter]) => [type, [{ code: 'patient', paths: pathsOf(parameter, type) }]]),
  )
}

function isFor(type: string, wanted: string): (parameter: JsonObject) => boolean {
  return ({ code, base }) => code === wanted && (base as readonly string[]).includes(type)
}

/** `CarePlan.subject.where(resolve() is Patient) | Account.subject` for CarePlan: `subject`. */
function pathsOf(parameter: JsonObject | undefined, type: string): readonly string[] {
  return textOf(parameter?.['expression'])
    .split('|')
    .map((each) => each.trim().replace('.where(resolve() is Patient)', ''))
    .filter((each) => each.startsWith(`${type}.`))
    .map((each) => each.slice(type.length + 1))
}

/** Whom it is about comes first; else FHIR's order counts. */
const ABOUT = new Set(['patient', 'subject', 'beneficiary', 'individual'])

function parametersOf(type: string): readonly Parameter[] {
  const all = COMPARTMENT.get(type) ?? BESIDE.get(type) ?? []
  return [...all.filter(({ code }) => ABOUT.has(code)), ...all.filter(({ code }) => !ABOUT.has(code))]
}

export interface Shown {
  readonly types: ReadonlySet<string>
  readonly patients: ReadonlySet<string>
  readonly resources: number
}

interface Around {
  readonly bundle: JsonObject | null
  readonly entry: JsonObject | null
}

/** What a JSON text of FHIR shows, found the slow way. */
export function shownIn(resource: JsonObject, around: Around = { bundle: null, entry: null }): Shown {
  const type = textOf(resource['resourceType'])
  if (type === 'OperationOutcome') return join([])
  if (type === 'Bundle') {
    return join(listOf(resource['entry']).map((entry) => shownInEntry(entry, resource)))
  }
  if (type === 'Parameters') return join(listOf(resource['parameter']).map((each) => shownInParameter(each, around)))
  const contained = listOf(resource['contained'])
  const place = { ...around, container: resource }
  return {
    types: new Set([type, ...contained.map((each) => textOf(each['resourceType']))]),
    patients: new Set([resource, ...contained].flatMap((each) => patientsOf(each, place))),
    resources: 1,
  }
}

function shownInEntry(entry: JsonObject, bundle: JsonObject): Shown {
  const { response, request } = entry as Record<string, JsonObject | undefined>
  if (Number.parseInt(textOf(response?.['status']) || '200', 10) >= 400) return join([])
  if (isObject(entry['resource'])) return shownIn(entry['resource'], { bundle, entry })
  const written = split(textOf(response?.['location'] ?? entry['fullUrl'] ?? request?.['url']))
  if (written === null) return join([])
  return {
    types: new Set([written.type]),
    patients: new Set(written.type === 'Patient' ? [written.id] : []),
    resources: 1,
  }
}

function shownInParameter(parameter: JsonObject, around: Around): Shown {
  const parts = listOf(parameter['part']).map((each) => shownInParameter(each, around))
  const { resource } = parameter
  return join(isObject(resource) ? [shownIn(resource, around), ...parts] : parts)
}

function join(all: readonly Shown[]): Shown {
  return {
    types: new Set(all.flatMap(({ types }) => [...types])),
    patients: new Set(all.flatMap(({ patients }) => [...patients])),
    resources: all.reduce((sum, { resources }) => sum + resources, 0),
  }
}

interface Place extends Around {
  readonly container: JsonObject
}

function patientsOf(resource: JsonObject, place: Place): readonly string[] {
  const type = textOf(resource['resourceType'])
  if (type === 'Patient') return known(idOf(resource, resource === place.container ? place.entry : null, place))
  const found = parametersOf(type)
    .map(({ paths }) => paths.flatMap((each) => named(resource, each, place)))
    .find((patients) => patients.length > 0)
  const listed = type === 'List' ? named(resource, 'entry.item', place) : []
  const secured = type === 'Binary' ? named(resource, 'securityContext', place) : []
  return [...(found ?? []), ...listed, ...secured]
}

function named(resource: JsonObject, elements: string, place: Place): readonly string[] {
  return elements
    .split('.')
    .reduce<readonly JsonObject[]>((nodes, name) => nodes.flatMap((node) => listOf(node[name])), [resource])
    .flatMap((reference) => known(referred(reference, elements, place)))
}

function referred(reference: JsonObject, elements: string, place: Place): string | null {
  const text = textOf(reference['reference'])
  const target = split(text)
  if (target?.type === 'Patient') return target.id
  const resource = text.startsWith('#')
    ? [place.container, ...listOf(place.container['contained'])].find((each, at) =>
        at === 0 ? text === '#' : each['id'] === text.slice(1),
      )
    : listOf(place.bundle?.['entry']).find(({ fullUrl }) => text.includes(':') && fullUrl === text)
  const found = isObject(resource?.['resource']) ? resource['resource'] : resource
  if (found?.['resourceType'] === 'Patient') {
    return idOf(found, found === resource ? null : (resource ?? null), place)
  }
  const { type } = reference
  return type === 'Patient' || (type === undefined && onlyPatient(elements)) ? token(reference['identifier']) : null
}

/** Checked against FHIR's structure definitions in `patient-compartment.test.ts`. */
export function onlyPatient(elements: string): boolean {
  return ['patient', 'beneficiary', 'individual', 'candidate'].includes(elements)
}

function idOf(patient: JsonObject, entry: JsonObject | null, { container }: Place): string | null {
  const identifier =
    listOf(patient['identifier'])
      .map(token)
      .find((each) => each !== null) ?? null
  const id = typeof patient['id'] === 'string' ? patient['id'] : null
  if (listOf(container['contained']).includes(patient)) return identifier ?? id
  return id ?? identifier ?? textOf(entry?.['fullUrl']).split('urn:uuid:')[1] ?? null
}

function token(identifier: Json | undefined): string | null {
  if (!isObject(identifier) || typeof identifier['value'] !== 'string') return null
  return `${typeof identifier['system'] === 'string' ? identifier['system'] : ''}|${identifier['value']}`
}

/** `https://a.example/fhir/Patient/1/_history/2`: Patient, 1. */
function split(reference: string): { type: string; id: string } | null {
  const parts = reference.split('/')
  const bare = parts.at(-2) === '_history' ? parts.slice(0, -2) : parts
  const [type = '', id = ''] = bare.slice(-2)
  return bare.length >= 2 && /^[A-Z][A-Za-z]+$/.test(type) && /^[A-Za-z0-9.-]+$/.test(id) ? { type, id } : null
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : ''
}

function known(id: string | null): readonly string[] {
  return id === null ? [] : [id]
}

function listOf(value: Json | undefined): readonly JsonObject[] {
  return (Array.isArray(value) ? (value as readonly Json[]) : [value]).filter(isObject)
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
