import { isFhirResourceType } from '../fhir-resource-types.ts'
import { patientElements, type ElementStep } from '../patient-compartment.ts'
import { readReference } from '../reference.ts'
import {
  indexOfBundle,
  indexOfContained,
  namedPatient,
  type ReferencePlace,
  type ResourceIndex,
} from './named-patient.ts'
import { idOfContained, idOfPatient } from './patient-identity.ts'
import { isStored, storedIn, storedList, storedText } from './stored.ts'

/** What a walk has found so far. */
export interface Walk {
  readonly types: Set<string>
  readonly patients: Set<string>
  resources: number
  /** Steps that are left; none left: what was found is not all. */
  left: number
}

/** A resource and what stands around it. */
interface Position {
  readonly walk: Walk
  readonly bundle: ResourceIndex | null
  /** Of the Bundle. */
  readonly entry: object | null
  /** Bundles and parameters around it. */
  readonly depth: number
}

/** Bundles in Bundles: deeper ones are passed over. */
const MAX_DEPTH = 8

/** A resource alone, in a Bundle or in a list; a Bundle and Parameters are what they hold. */
export function walkResource(position: Position, resource: object): void {
  const { walk } = position
  const type = storedIn(resource, 'resourceType')
  if (typeof type !== 'string' || type === 'OperationOutcome' || !spend(walk)) return
  if (type === 'Bundle') return walkBundle(position, resource)
  if (type === 'Parameters') return walkParameters(position, storedList(resource, 'parameter'))
  walk.resources += 1
  // A name that is not FHIR's may be anybody's text.
  if (!isFhirResourceType(type)) return
  walk.types.add(type)
  const { bundle, entry } = position
  const list = storedList(resource, 'contained')
  const place: Place = { walk, bundle, resource, entry, contained: list === null ? null : indexOfContained(list) }
  if (type === 'Patient') addPatient(walk, idOfPatient(resource, entry))
  else addPatients(place, resource, type)
  if (list !== null) walkContained(place, list)
}

interface Place extends ReferencePlace {
  readonly walk: Walk
}

/** Runs out after a bounded number of steps, whatever the body looks like. */
function spend(walk: Walk): boolean {
  walk.left -= 1
  return walk.left > 0
}

function walkBundle({ walk, depth }: Position, bundle: object): void {
  const entries = storedList(bundle, 'entry')
  if (entries === null || depth >= MAX_DEPTH) return
  const index = indexOfBundle(entries)
  for (let at = 0; at < entries.length && spend(walk); at += 1) {
    const entry = storedIn(entries, at)
    if (!isStored(entry) || hasFailed(entry)) continue
    const resource = storedIn(entry, 'resource')
    if (isStored(resource)) {
      walkResource({ walk, bundle: index, entry, depth: depth + 1 }, resource)
    } else addNamed(walk, entry)
  }
}

/** FHIR R4 section 3.1.0.11: each entry of a batch's answer has a status of its own. */
function hasFailed(entry: object): boolean {
  const response = storedIn(entry, 'response')
  return isStored(response) && /^[45]/.test(storedText(response, 'status') ?? '')
}

/** An entry without a resource: what was written (`response.location`), or what a history says was deleted. */
function addNamed(walk: Walk, entry: object): void {
  const [response, request] = [storedIn(entry, 'response'), storedIn(entry, 'request')]
  const text =
    (isStored(response) ? storedText(response, 'location') : null) ??
    storedText(entry, 'fullUrl') ??
    (isStored(request) ? storedText(request, 'url') : null)
  const named = text === null ? null : readReference(text)
  if (named === null || !isFhirResourceType(named.type)) return
  walk.resources += 1
  walk.types.add(named.type)
  if (named.type === 'Patient') walk.patients.add(named.id)
}

function walkParameters(position: Position, parameters: readonly unknown[] | null): void {
  const { walk, depth } = position
  if (parameters === null || depth >= MAX_DEPTH) return
  const inside = { ...position, depth: depth + 1 }
  for (let at = 0; at < parameters.length && spend(walk); at += 1) {
    const parameter = storedIn(parameters, at)
    if (!isStored(parameter)) continue
    const resource = storedIn(parameter, 'resource')
    if (isStored(resource)) walkResource(inside, resource)
    walkParameters(inside, storedList(parameter, 'part'))
  }
}

/** Contained resources are no resources of their own (FHIR R4 section 2.4.3), but their types and patients are shown too. */
function walkContained(place: Place, list: readonly unknown[]): void {
  for (let at = 0; at < list.length && spend(place.walk); at += 1) {
    const each = storedIn(list, at)
    if (!isStored(each)) continue
    const type = storedIn(each, 'resourceType')
    if (typeof type !== 'string' || !isFhirResourceType(type)) continue
    place.walk.types.add(type)
    if (type === 'Patient') addPatient(place.walk, idOfContained(each))
    else addPatients(place, each, type)
  }
}

function addPatient({ patients }: Walk, id: string | null): void {
  if (id !== null) patients.add(id)
}

/** The first element that names a patient says whose the resource is. */
function addPatients(place: Place, resource: object, type: string): void {
  let named = false
  for (const { first, beside, onlyPatient } of patientElements(type)) {
    if (named && !beside) continue
    named = addFrom(onlyPatient ? { ...place, onlyPatient } : place, resource, first) || named
  }
}

interface ElementPlace extends Place {
  readonly onlyPatient?: boolean
}

function addFrom(place: ElementPlace, node: object, step: ElementStep): boolean {
  const value = storedIn(node, step.name)
  if (!isStored(value)) return false
  if (!Array.isArray(value)) return addOne(place, value, step)
  let named = false
  for (let at = 0; at < value.length && spend(place.walk); at += 1) {
    const each = storedIn(value, at)
    if (isStored(each) && addOne(place, each, step)) named = true
  }
  return named
}

function addOne(place: ElementPlace, node: object, { next }: ElementStep): boolean {
  if (next !== null) return addFrom(place, node, next)
  const patient = namedPatient(node, place, place.onlyPatient === true)
  if (patient === null) return false
  place.walk.patients.add(patient)
  return true
}
