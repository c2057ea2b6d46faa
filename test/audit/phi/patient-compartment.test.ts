import { describe, expect, test } from 'vitest'
import { isFhirResourceType } from '../../../src/audit/phi/fhir-resource-types.ts'
import { patientElements, typesWithPatient, type ElementStep } from '../../../src/audit/phi/patient-compartment.ts'
import { BESIDE, COMPARTMENT, fhirFiles, readFhir } from './compartment-oracle.ts'

const pathOf = ({ name, next }: ElementStep): string => (next === null ? name : `${name}.${pathOf(next)}`)
const pathsOf = (type: string) => patientElements(type).map(({ first }) => pathOf(first))

/** What the table holds beyond FHIR's definitions. */
const OURS: Readonly<Record<string, readonly string[]>> = { Binary: ['securityContext'], List: ['entry.item'] }

test('the types are those of the patient compartment of FHIR R4, and those that can be searched by `patient`', () => {
  expect([...BESIDE.keys()].toSorted()).toEqual(['Contract', 'Device', 'GuidanceResponse', 'Task'])
  expect(typesWithPatient().toSorted()).toEqual(
    [...COMPARTMENT.keys(), ...BESIDE.keys(), 'Binary'].filter((type) => type !== 'Patient').toSorted(),
  )
  expect(typesWithPatient().length).toBeGreaterThanOrEqual(65)
  expect(typesWithPatient().every(isFhirResourceType)).toBe(true)
})

test.each([...COMPARTMENT, ...BESIDE].filter(([type]) => type !== 'Patient'))(
  'the elements of %s are those of its search parameters',
  (type, parameters) => {
    const theirs = new Set(parameters.flatMap(({ paths }) => paths))
    expect(theirs.size).toBeGreaterThan(0)
    expect(pathsOf(type).toSorted()).toEqual([...theirs, ...(OURS[type] ?? [])].toSorted())
  },
)

test.each([
  ['Coverage', 'beneficiary'],
  ['AllergyIntolerance', 'patient'],
  ['Communication', 'subject'],
  ['Observation', 'subject'],
  ['Task', 'for'],
])('of %s, %s comes first', (type, first) => {
  expect(pathsOf(type)[0]).toBe(first)
})

test.each(['Practitioner', 'Medication', 'Patient', 'Bundle', 'constructor', '__proto__', 'toString', ''])(
  '%j names no patient by an element',
  (type) => {
    expect(patientElements(type)).toEqual([])
  },
)

describe('an element that needs no type', () => {
  const targets = new Map<string, readonly string[]>()
  for (const file of fhirFiles().filter((each) => each.startsWith('StructureDefinition-'))) {
    const { id, snapshot } = readFhir(file) as unknown as {
      id: string
      snapshot?: { element: readonly { path: string; type?: readonly { targetProfile?: readonly string[] }[] }[] }
    }
    if (!isFhirResourceType(id)) continue
    for (const { path, type } of snapshot?.element ?? []) {
      targets.set(path, type?.flatMap(({ targetProfile }) => targetProfile ?? []) ?? [])
    }
  }

  test.each(
    typesWithPatient().flatMap((type) =>
      patientElements(type).map(({ first, onlyPatient }) => [`${type}.${pathOf(first)}`, onlyPatient] as const),
    ),
  )('%s: %s, as FHIR defines it', (path, onlyPatient) => {
    const found = targets.get(path) ?? []
    if (onlyPatient) expect(found).toEqual(['http://hl7.org/fhir/StructureDefinition/Patient'])
    // What our table does not mark may still allow for nothing but a Patient: then a logical reference needs its `type`.
    else expect(found.length).toBeGreaterThan(0)
  })
})
