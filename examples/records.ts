/** The data of a small partner backend, in memory and made up. */
export interface Patient {
  readonly resourceType: 'Patient'
  readonly id: string
  readonly active: boolean
  readonly birthDate: string
}

export interface Observation {
  readonly resourceType: 'Observation'
  readonly id: string
  readonly status: 'final'
  readonly subject: { readonly reference: string }
  readonly valueQuantity: { readonly value: number; readonly unit: string }
}

/** One organization's records; another organization's are never looked at. */
export interface Records {
  patient(id: string): Patient | undefined
  patients(): readonly Patient[]
  addPatient(patient: Partial<Patient>): Patient
  observationsOf(patientId: string): readonly Observation[]
}

const organizations = new Map<string, Records>()

export function recordsOf(organizationId: string): Records {
  const known = organizations.get(organizationId) ?? createRecords()
  organizations.set(organizationId, known)
  return known
}

function createRecords(): Records {
  const patients = new Map<string, Patient>([
    ['123', { resourceType: 'Patient', id: '123', active: true, birthDate: '1970-01-01' }],
    ['456', { resourceType: 'Patient', id: '456', active: true, birthDate: '1985-05-05' }],
  ])
  return {
    patient: (id) => patients.get(id),
    patients: () => [...patients.values()],
    addPatient: ({ active = true, birthDate = '2000-01-01' }) => {
      const patient: Patient = { resourceType: 'Patient', id: String(1000 + patients.size), active, birthDate }
      patients.set(patient.id, patient)
      return patient
    },
    observationsOf: (patientId) => [
      {
        resourceType: 'Observation',
        id: `${patientId}-1`,
        status: 'final',
        subject: { reference: `Patient/${patientId}` },
        valueQuantity: { value: 72, unit: 'beats/minute' },
      },
    ],
  }
}

/** FHIR R4 Bundle of a search. */
export function searchset(resources: readonly object[]): object {
  return {
    resourceType: 'Bundle',
    type: 'searchset',
    total: resources.length,
    entry: resources.map((resource) => ({ resource })),
  }
}

/** FHIR R4 OperationOutcome for what is not there. */
export function notFound(): object {
  return { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'not-found' }] }
}
