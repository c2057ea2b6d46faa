import { typesWithPatient } from '../../../src/audit/phi/patient-compartment.ts'
import { describe, expect, test } from 'vitest'
import type { AuditPhi } from '../../../src/audit/event.ts'
import type { BodyPhi } from '../../../src/audit/phi/body.ts'
import { patientPhi, type PhiFacts } from '../../../src/audit/phi/pattern.ts'

function facts(change: Partial<PhiFacts> = {}): PhiFacts {
  return {
    method: 'GET',
    route: '*',
    params: {},
    required: [],
    annotation: null,
    touches: [],
    resourceCount: null,
    body: null,
    status: 200,
    ifNoneExist: false,
    query: () => ({}),
    pseudonym: (patient) => `pt_k1_${patient}`,
    ...change,
  }
}

const NONE: AuditPhi = {
  interaction: null,
  types: [],
  patients: [],
  patientCount: null,
  resourceCount: null,
  bulk: false,
  attribution: 'none',
}

describe('the pattern of the contract', () => {
  test('for a patient read by the id in the route', () => {
    const pattern = patientPhi(facts({ required: ['read:patients'], route: '/v1/patients/:id', params: { id: '7' } }))
    expect(pattern).toEqual({
      action: 'R',
      phi: {
        interaction: 'read',
        types: ['Patient'],
        patients: ['pt_k1_7'],
        patientCount: 1,
        resourceCount: 1,
        bulk: false,
        attribution: 'route',
      },
    })
  })

  test('for a list of patients', () => {
    const pattern = patientPhi(facts({ required: ['read:patients'], route: '/v1/patients' }))
    expect(pattern).toEqual({
      action: 'R',
      phi: { ...NONE, interaction: 'search-type', types: ['Patient'], attribution: 'scope' },
    })
  })

  test('for a call that nothing attributes', () => {
    expect(patientPhi(facts({ required: ['admin:org'], route: '/v1/org' }))).toEqual({ action: 'R', phi: NONE })
  })

  test('for a route without PHI', () => {
    const pattern = patientPhi(
      facts({
        method: 'POST',
        required: ['read:patients'],
        route: '/v1/patients/:id',
        params: { id: '7' },
        annotation: false,
      }),
    )
    expect(pattern).toEqual({ action: 'C', phi: null })
  })
})

/** method, scopes, route, params: action, interaction, types, patients, resourceCount, attribution. */
type Row = [
  string,
  string,
  string,
  Record<string, string>,
  string,
  string | null,
  string,
  string,
  number | null,
  string,
]

function found([method, scopes, route, params]: Row): unknown {
  return patientPhi(facts({ method, required: scopes === '' ? [] : scopes.split(' '), route, params }))
}

function expected([, , , , action, interaction, types, patients, resourceCount, attribution]: Row): unknown {
  return {
    action,
    phi: {
      interaction,
      types: types === '' ? [] : types.split(' '),
      patients: patients === '' ? [] : patients.split(' ').map((each) => `pt_k1_${each}`),
      patientCount: patients === '' ? null : patients.split(' ').length,
      resourceCount,
      bulk: false,
      attribution,
    },
  }
}

describe('scope and route say', () => {
  const id = { id: '7' }
  const pid = { pid: '7' }
  test.each<Row>([
    ['GET', 'read:patients', '*', {}, 'R', null, 'Patient', '', null, 'scope'],
    ['POST', 'write:patients', '*', {}, 'C', 'create', 'Patient', '', null, 'scope'],
    ['HEAD', 'read:patients', '/v1/patients/:id', id, 'R', 'read', 'Patient', '7', 1, 'route'],
    ['POST', 'write:patients', '/v1/patients', {}, 'C', 'create', 'Patient', '', null, 'scope'],
    ['PUT', 'write:patients', '/v1/patients/:id', id, 'U', 'update', 'Patient', '7', 1, 'route'],
    ['PATCH', 'write:patients', '/v1/patients/:id', id, 'U', 'patch', 'Patient', '7', 1, 'route'],
    ['DELETE', 'write:patients', '/v1/patients/:id', id, 'D', 'delete', 'Patient', '7', 1, 'route'],
    ['OPTIONS', 'read:patients', '/v1/patients/:id', id, 'E', null, 'Patient', '7', null, 'route'],
    ['PROPFIND', 'read:patients', '/v1/patients', {}, 'E', null, 'Patient', '', null, 'scope'],
    ['GET', 'read:patients', '/v1/patients/:id/summary', id, 'R', 'read', 'Patient', '7', null, 'route'],
    [
      'GET',
      'read:observations',
      '/v1/patients/:pid/observations',
      pid,
      'R',
      'search-type',
      'Observation',
      '7',
      null,
      'route',
    ],
    [
      'GET',
      'read:observations',
      '/v1/patients/:pid/observations/:oid',
      { ...pid, oid: '9' },
      'R',
      'read',
      'Observation',
      '7',
      1,
      'route',
    ],
    [
      'POST',
      'write:observations',
      '/v1/patients/:pid/observations',
      pid,
      'C',
      'create',
      'Observation',
      '7',
      null,
      'route',
    ],
    ['GET', 'read:observations', '/v1/observations/:id', id, 'R', 'read', 'Observation', '', 1, 'scope'],
    ['GET', 'read:observations', '/v1/observations', {}, 'R', 'search-type', 'Observation', '', null, 'scope'],
    ['GET', 'read:patients read:observations', '/v1/chart/:id', id, 'R', 'read', 'Patient Observation', '', 1, 'scope'],
    ['GET', 'read:patients write:patients', '/v1/x', {}, 'R', 'search-type', 'Patient', '', null, 'scope'],
    ['POST', 'exec:agents', '/v1/patients/:id/agents', id, 'C', null, '', '7', null, 'route'],
    ['GET', '', '/v1/patients/:id', id, 'R', 'read', 'Patient', '7', 1, 'route'],
    ['GET', '', '/v1/patients', {}, 'R', null, '', '', null, 'none'],
    ['GET', 'admin:org', '/orgs/:org/patients/:pid', { org: 'o', pid: '7' }, 'R', 'read', 'Patient', '7', 1, 'route'],
  ])('%s %s %s', (...row) => {
    expect(found(row)).toEqual(expected(row))
  })
})

describe('the patient in the route is', () => {
  test.each<[string, Record<string, string>, string[]]>([
    ['/PATIENTS/:id', { id: '7' }, ['7']],
    ['/patient/:id', { id: '7' }, ['7']],
    ['/inpatients/:id', { id: '7' }, []],
    ['/patients-of/:id', { id: '7' }, []],
    ['/patients/list/:id', { id: '7' }, []],
    ['/patients/:id(\\d+)/x', { id: '7' }, ['7']],
    ['/patients{/:id}', { id: '7' }, ['7']],
    ['/patients{/:id}', {}, []],
    ['/patients/:id?', { id: '' }, []],
    ['/patients/:a/merge/patients/:b', { a: '7', b: '8' }, ['7', '8']],
    ['/patients/:a/merge/patients/:b', { a: '7', b: '7' }, ['7']],
    ['/patients/:id', { id: 'x'.repeat(256) }, ['x'.repeat(256)]],
    ['/patients/:id', { id: 'x'.repeat(257) }, []],
    ['/patients/*', { '*': '7' }, []],
    ['/patients/:id^\\/notes$', { id: '7', '0': '9' }, ['7']],
    ['^\\/patients\\/(\\d+)$', { '0': '7' }, []],
    ['/patients/:toString', {}, []],
  ])('%s %j: %j', (route, params, patients) => {
    const { phi } = patientPhi(facts({ required: ['read:patients'], route, params }))
    expect(phi?.patients).toEqual(patients.map((each) => `pt_k1_${each}`))
    expect(phi?.patientCount).toBe(patients.length === 0 ? null : patients.length)
  })

  test('nothing but a text', () => {
    const params = JSON.parse('{"id":["7"]}') as Record<string, string>
    expect(patientPhi(facts({ required: ['read:patients'], route: '/patients/:id', params })).phi?.patients).toEqual([])
  })

  test('left out when an optional one is missing: then it is the list', () => {
    const { phi } = patientPhi(facts({ required: ['read:patients'], route: '/patients{/:id}' }))
    expect(phi?.interaction).toBe('search-type')
    expect(phi?.attribution).toBe('scope')
  })
})

describe("a route in FHIR's shape says", () => {
  const id = { id: '7' }
  test.each<Row>([
    ['GET', '', '/Patient', {}, 'E', 'search-type', 'Patient', '', null, 'route'],
    ['GET', 'read:patients', '/fhir/r4/Patient', {}, 'E', 'search-type', 'Patient', '', null, 'route'],
    ['POST', '', '/Patient', {}, 'C', 'create', 'Patient', '', null, 'route'],
    ['PUT', '', '/Patient', {}, 'U', 'update', 'Patient', '', null, 'route'],
    ['DELETE', '', '/Patient', {}, 'D', 'delete', 'Patient', '', null, 'route'],
    ['GET', '', '/Patient/:id', id, 'R', 'read', 'Patient', '7', 1, 'route'],
    ['HEAD', '', '/Patient/:id', id, 'R', 'read', 'Patient', '7', 1, 'route'],
    ['PUT', '', '/Patient/:id', id, 'U', 'update', 'Patient', '7', 1, 'route'],
    ['PATCH', '', '/Patient/:id', id, 'U', 'patch', 'Patient', '7', 1, 'route'],
    ['DELETE', '', '/Patient/:id', id, 'D', 'delete', 'Patient', '7', 1, 'route'],
    ['GET', '', '/Patient/_history', {}, 'R', 'history-type', 'Patient', '', null, 'route'],
    ['GET', '', '/Patient/:id/_history', id, 'R', 'history-instance', 'Patient', '7', null, 'route'],
    ['GET', '', '/Patient/:id/_history/:vid', { ...id, vid: '2' }, 'R', 'vread', 'Patient', '7', 1, 'route'],
    ['POST', '', '/Patient/_search', {}, 'E', 'search-type', 'Patient', '', null, 'route'],
    ['GET', '', '/Patient/_search', {}, 'E', 'search-type', 'Patient', '', null, 'route'],
    ['GET', '', '/Patient/:id/$everything', id, 'E', 'operation', 'Patient', '7', null, 'route'],
    ['POST', '', '/fhir', {}, 'E', null, '', '', null, 'route'],
    ['POST', '', '/v1/fhir/R4', {}, 'E', null, '', '', null, 'route'],
    ['POST', 'write:patients', '/fhir', {}, 'E', null, 'Patient', '', null, 'route'],
    ['GET', '', '/fhir', {}, 'R', null, '', '', null, 'none'],
    ['PUT', '', '/fhir', {}, 'U', null, '', '', null, 'none'],
    ['POST', '', '/v1/r4', {}, 'C', null, '', '', null, 'none'],
    ['POST', '', '/Observation/$lastn', {}, 'E', 'operation', 'Observation', '', null, 'route'],
    ['GET', '', '/Patient/:id/Observation', id, 'E', 'search-type', 'Observation', '7', null, 'route'],
    ['GET', 'read:patients', '/Patient/:id/Observation', id, 'E', 'search-type', 'Observation', '7', null, 'route'],
    ['POST', '', '/Patient/:id/Observation/_search', id, 'E', 'search-type', 'Observation', '7', null, 'route'],
    ['GET', '', '/Patient/:id/Observation/:oid', { ...id, oid: '9' }, 'R', 'read', 'Observation', '7', 1, 'route'],
    ['GET', '', '/Patient/:id/summary', id, 'R', 'read', 'Patient', '7', null, 'route'],
    ['GET', '', '/Patient/me', {}, 'R', 'read', 'Patient', '', null, 'route'],
    ['GET', '', '/Patient/*', { '*': '7' }, 'R', null, 'Patient', '', null, 'route'],
    ['GET', '', '/MedicationRequest/:id', id, 'R', 'read', 'MedicationRequest', '', 1, 'route'],
    ['GET', '', '/observation/:id', id, 'R', null, '', '', null, 'none'],
    ['GET', '', '/Patients', {}, 'R', null, '', '', null, 'none'],
    ['GET', '', '/Chart/:id', id, 'R', null, '', '', null, 'none'],
    ['GET', '', '^\\/Patient\\/(\\d+)$', {}, 'R', null, '', '', null, 'none'],
    ['GET', '', '/constructor/:id', id, 'R', null, '', '', null, 'none'],
  ])('%s %s %s', (...row) => {
    expect(found(row)).toEqual(expected(row))
  })

  test.each(['/$export', '/Group/:id/$export', '/Patient/$export'])('that %s is bulk', (route) => {
    const { action, phi } = patientPhi(facts({ route, params: { id: '7' } }))
    expect(action).toBe('E')
    expect(phi).toMatchObject({ interaction: 'operation', bulk: true, attribution: 'route' })
  })
})

describe('an annotation', () => {
  const annotated = (
    annotation: Partial<Exclude<PhiFacts['annotation'], false | null>>,
    change: Partial<PhiFacts> = {},
  ) =>
    patientPhi(
      facts({ annotation: { type: 'Observation', action: undefined, patient: null, ...annotation }, ...change }),
    )

  test('is stronger than scope and route, and leaves to them what it does not say', () => {
    const change = { required: ['read:patients'], route: '/v1/patients/:id/vitals', params: { id: '7' } }
    expect(annotated({}, change)).toEqual({
      action: 'R',
      phi: {
        ...NONE,
        interaction: 'search-type',
        types: ['Observation'],
        patients: ['pt_k1_7'],
        patientCount: 1,
        attribution: 'annotation',
      },
    })
    expect(annotated({ patient: '8' }, change).phi?.patients).toEqual(['pt_k1_8'])
    expect(annotated({}, { route: '/Patient/:id', params: { id: '7' } }).phi).toMatchObject({
      interaction: 'read',
      types: ['Observation'],
    })
  })

  test.each([
    ['R', '/v1/search', 'search-type'],
    ['R', '/v1/things/:id', 'read'],
    ['C', '/v1/search', 'create'],
    ['U', '/v1/search', 'update'],
    ['D', '/v1/search', 'delete'],
    ['E', '/v1/search', 'operation'],
  ] as const)('with action %s on POST %s', (action, route, interaction) => {
    const pattern = annotated({ action }, { method: 'POST', route, params: { id: '7' } })
    expect([pattern.action, pattern.phi?.interaction]).toEqual([action, interaction])
  })

  test('with action E on a GET of a collection is a search', () => {
    expect(annotated({ action: 'E' }, { route: '/v1/find' }).phi?.interaction).toBe('search-type')
    expect(annotated({ action: 'E' }, { route: '/v1/find/:id', params: { id: '7' } }).phi?.interaction).toBe(
      'operation',
    )
  })

  test.each([[''], ['x'.repeat(257)]])('with a patient that is none leaves him open (%#)', (patient) => {
    expect(annotated({ patient }, { route: '/v1/vitals' }).phi).toMatchObject({ patients: [], patientCount: null })
  })

  test('is not read from a prototype', () => {
    Object.assign(Object.prototype, { action: 'D', patient: 'planted', id: 'planted' })
    try {
      const pattern = annotated({}, { route: '/v1/patients/:id' })
      expect([pattern.action, pattern.phi?.patients]).toEqual(['R', []])
    } finally {
      for (const name of ['action', 'patient', 'id']) Reflect.deleteProperty(Object.prototype, name)
    }
  })
})

describe('what a handler touches', () => {
  const touch = (...references: string[]) =>
    references.map((each) => ({ type: each.split('/')[0] ?? '', id: each.split('/')[1] ?? '' }))

  test('is added to what scope and route say', () => {
    const touches = touch('Patient/8', 'Observation/1', 'Observation/2', 'Patient/8')
    expect(
      patientPhi(facts({ required: ['read:patients'], route: '/v1/patients/:id', params: { id: '7' }, touches })),
    ).toEqual({
      action: 'R',
      phi: {
        ...NONE,
        interaction: 'read',
        types: ['Patient', 'Observation'],
        patients: ['pt_k1_7', 'pt_k1_8'],
        patientCount: 2,
        attribution: 'handler',
      },
    })
  })

  test('says nothing of how the call was made', () => {
    expect(patientPhi(facts({ route: '/v1/dashboard', touches: touch('Observation/1') })).phi).toEqual({
      ...NONE,
      types: ['Observation'],
      attribution: 'handler',
    })
  })

  test('leaves a read of one a read of one where it is the same patient', () => {
    const change = { required: ['read:patients'], route: '/v1/patients/:id', params: { id: '7' } }
    expect(patientPhi(facts({ ...change, touches: touch('Patient/7') })).phi?.resourceCount).toBe(1)
    expect(patientPhi(facts({ ...change, touches: touch('Patient/7'), resourceCount: 12 })).phi?.resourceCount).toBe(12)
    expect(patientPhi(facts({ ...change, touches: touch('Observation/7') })).phi?.resourceCount).toBeNull()
  })

  test('is believed on a route that was declared to have no PHI', () => {
    const change = {
      required: ['read:patients'],
      route: '/v1/patients/:id',
      params: { id: '7' },
      annotation: false,
    } as const
    expect(patientPhi(facts({ ...change, touches: touch('Patient/8') })).phi).toEqual({
      ...NONE,
      types: ['Patient'],
      patients: ['pt_k1_8'],
      patientCount: 1,
      attribution: 'handler',
    })
  })

  test('is bulk from 50 patients on, counted once each', () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => `Patient/${index}`)
    expect(patientPhi(facts({ touches: touch(...many(49), ...many(49)) })).phi).toMatchObject({
      patientCount: 49,
      bulk: false,
    })
    expect(patientPhi(facts({ touches: touch(...many(50)) })).phi).toMatchObject({ patientCount: 50, bulk: true })
  })

  test('is named by at most 32 types', () => {
    const touches = typesWithPatient().map((type) => ({ type, id: '1' }))
    expect(touches.length).toBeGreaterThan(32)
    expect(patientPhi(facts({ touches })).phi?.types).toHaveLength(32)
  })

  test('and is no type of FHIR has no name: it may be what the caller wrote', () => {
    const { types } =
      patientPhi(facts({ touches: touch('JohnSmithBornMay/1', 'Observation/2', 'OtherCaller/3') })).phi ?? {}
    expect(types).toEqual(['*', 'Observation'])
  })

  test('and only counted attributes nothing', () => {
    expect(patientPhi(facts({ resourceCount: 3 })).phi).toEqual({ ...NONE, resourceCount: 3 })
  })
})

describe('the status says', () => {
  const one = { route: '/Patient/:id', params: { id: '9' } }

  test.each([
    ['PUT', 200, 'U', 'update'],
    ['PUT', 201, 'C', 'create'],
    ['PUT', null, 'U', 'update'],
    ['PATCH', 201, 'C', 'create'],
    ['POST', 201, 'C', 'create'],
    ['POST', 200, 'C', 'create'],
    ['GET', 201, 'R', 'read'],
    ['DELETE', 201, 'D', 'delete'],
  ] as const)('of a %s that is answered with %s: %s, %s', (method, status, action, interaction) => {
    const pattern = patientPhi(facts({ ...one, method, status }))
    expect([pattern.action, pattern.phi?.interaction]).toEqual([action, interaction])
  })

  test.each([
    ['/Patient', 200, true, 'R', 'read'],
    ['/Patient', 201, true, 'C', 'create'],
    ['/Patient', 200, false, 'C', 'create'],
    ['/Patient/_search', 200, true, 'E', 'search-type'],
    ['/v1/things', 200, true, 'R', null],
  ] as const)(
    'of a POST %s answered with %s, If-None-Exist %s: %s',
    (route, status, ifNoneExist, action, interaction) => {
      const pattern = patientPhi(facts({ method: 'POST', route, status, ifNoneExist }))
      expect([pattern.action, pattern.phi?.interaction]).toEqual([action, interaction])
    },
  )

  test('nothing where the guard names the action', () => {
    const annotation = { type: 'Task', action: 'U', patient: null } as const
    const pattern = patientPhi(facts({ method: 'PUT', status: 201, annotation, route: '/v1/x' }))
    expect([pattern.action, pattern.phi?.interaction]).toEqual(['U', 'update'])
  })

  test.each([401, 404, 500])('of %s that the patient was asked for, and that no resource was shown', (status) => {
    expect(patientPhi(facts({ ...one, status })).phi).toMatchObject({
      patients: ['pt_k1_9'],
      patientCount: 1,
      resourceCount: null,
    })
    expect(patientPhi(facts({ ...one, status, resourceCount: 1 })).phi?.resourceCount).toBe(1)
  })
})

describe("the query of a search on FHIR's routes", () => {
  const asked = (route: string, query: Record<string, string | readonly string[]>) =>
    patientPhi(facts({ route, params: { id: '7' }, query: () => query })).phi?.patients

  test.each<[string, Record<string, string | readonly string[]>, string[]]>([
    ['/Observation', { patient: '1' }, ['1']],
    ['/Observation', { patient: 'Patient/1' }, ['1']],
    ['/Observation', { patient: 'https://a.example/fhir/Patient/1' }, ['1']],
    ['/Observation', { patient: 'Patient/1/_history/2' }, ['1']],
    ['/Observation', { patient: '1,Patient/2,https://a.example/Patient/3' }, ['1', '2', '3']],
    ['/Observation', { patient: ['1,2', '2'], subject: 'Patient/4' }, ['1', '2', '4']],
    ['/Observation', { 'subject:Patient': '1', 'patient:Patient': '2' }, ['2', '1']],
    ['/Coverage', { beneficiary: 'Patient/1' }, ['1']],
    ['/Observation/_search', { patient: '1' }, ['1']],
    ['/Observation', { subject: 'Group/1' }, []],
    ['/Observation', { subject: 'https://a.example/Group/1,2' }, ['2']],
    ['/Observation', { 'patient.name': 'Doe', 'patient:identifier': 'a|1', name: 'Doe', performer: '1' }, []],
    ['/Observation', { patient: 'http://mrn|1' }, []],
    ['/Observation', { patient: ['', ',', ' '] }, []],
    ['/Observation', { patient: 'x'.repeat(257) }, []],
    ['/Observation', { _id: '1' }, []],
    ['/Patient', { _id: '1,2' }, ['1', '2']],
    ['/Patient/:id', {}, ['7']],
    ['/Patient/:id/Observation', { patient: '7,8' }, ['7', '8']],
    ['/Observation/$lastn', { patient: '1' }, ['1']],
    ['/v1/patients/:id', { patient: '1' }, ['7']],
    ['/v1/observations', { patient: '1' }, []],
  ])('%s?%j names %j', (route, query, patients) => {
    expect(asked(route, query)).toEqual(patients.map((each) => `pt_k1_${each}`))
  })

  test('is not read elsewhere', () => {
    const query = () => {
      throw new Error('read')
    }
    expect(patientPhi(facts({ required: ['read:patients'], route: '/v1/patients', query })).phi?.patients).toEqual([])
  })

  test('is not read from a prototype', () => {
    const query = JSON.parse('{"subject":"1"}') as Record<string, string>
    Object.setPrototypeOf(query, { patient: '2' })
    expect(asked('/Observation', query)).toEqual(['pt_k1_1'])
  })

  test('fills what guard and answer leave open, and no more', () => {
    const search = { route: '/Observation', query: () => ({ patient: '1' }) }
    const annotation = { type: 'Observation', action: undefined, patient: '2' }
    expect(patientPhi(facts({ ...search, annotation })).phi?.patients).toEqual(['pt_k1_2'])
    expect(patientPhi(facts({ ...search, body: shown({ patients: ['3'] }) })).phi?.patients).toEqual(['pt_k1_3'])
    expect(patientPhi(facts({ ...search, body: shown({ patients: [] }) })).phi?.patients).toEqual(['pt_k1_1'])
  })
})

function shown(change: Partial<BodyPhi> = {}): BodyPhi {
  return { types: ['Observation'], patients: ['3', '4'], resourceCount: 5, interaction: null, ...change }
}

describe('what the answer shows', () => {
  const search = { required: ['read:patients'], route: '/v1/patients/:id/chart', params: { id: '7' } }

  test('is stronger than scope, route and annotation', () => {
    const whole = {
      types: ['Observation'],
      patients: ['pt_k1_3', 'pt_k1_4'],
      patientCount: 2,
      resourceCount: 5,
      bulk: false,
      attribution: 'body',
    }
    const annotation = { type: 'Condition', action: undefined, patient: '8' }
    expect(patientPhi(facts({ ...search, body: shown() })).phi).toEqual({ ...whole, interaction: 'read' })
    expect(patientPhi(facts({ ...search, annotation, body: shown() })).phi).toEqual({
      ...whole,
      interaction: 'search-type',
    })
    expect(patientPhi(facts({ body: shown() })).phi).toEqual({ ...whole, interaction: null })
  })

  test('leaves to weaker sources what it does not tell', () => {
    const body = shown({ types: [], patients: [], resourceCount: 0 })
    expect(patientPhi(facts({ ...search, body })).phi).toEqual({
      interaction: 'read',
      types: ['Patient'],
      patients: ['pt_k1_7'],
      patientCount: 1,
      resourceCount: 0,
      bulk: false,
      attribution: 'body',
    })
  })

  test('does not hide what the handler has touched beside', () => {
    const touches = [
      { type: 'Patient', id: '9' },
      { type: 'Patient', id: '3' },
      { type: 'Condition', id: '1' },
    ]
    expect(patientPhi(facts({ ...search, touches, resourceCount: 99, body: shown() })).phi).toMatchObject({
      types: ['Observation', 'Patient', 'Condition'],
      patients: ['pt_k1_3', 'pt_k1_4', 'pt_k1_9'],
      patientCount: 3,
      resourceCount: 5,
      attribution: 'body',
    })
  })

  test('of a batch or transaction is an execution, whatever the route says', () => {
    for (const interaction of ['batch', 'transaction'] as const) {
      const pattern = patientPhi(facts({ method: 'POST', route: '/v1/import', body: shown({ interaction }) }))
      expect([pattern.action, pattern.phi?.interaction]).toEqual(['E', interaction])
    }
  })

  test('too much to count is counted by the handler, or not at all, and bulk', () => {
    const body = shown({ resourceCount: null })
    expect(patientPhi(facts({ body })).phi).toMatchObject({ resourceCount: null, bulk: true })
    expect(patientPhi(facts({ body, resourceCount: 9 })).phi).toMatchObject({ resourceCount: 9, bulk: true })
  })

  test('is believed where the route was declared to have no PHI, if it shows a patient', () => {
    const silent = { ...search, annotation: false } as const
    expect(patientPhi(facts({ ...silent, body: shown() })).phi).toMatchObject({
      interaction: null,
      types: ['Observation'],
      patients: ['pt_k1_3', 'pt_k1_4'],
      attribution: 'body',
    })
    expect(patientPhi(facts({ ...silent, body: shown({ types: ['ValueSet'], patients: [] }) })).phi).toBeNull()
  })

  test('is named by at most 32 types', () => {
    const types = Array.from({ length: 40 }, (_, index) => `Type${index}`)
    expect(patientPhi(facts({ body: shown({ types }) })).phi?.types).toEqual(types.slice(0, 32))
  })
})
