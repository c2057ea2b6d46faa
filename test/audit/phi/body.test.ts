import { Readable } from 'node:stream'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bodyPhi } from '../../../src/audit/phi/body.ts'
import { fhirFiles, readFhir, shownIn, type Json, type JsonObject } from './compartment-oracle.ts'

const observation = (subject: object, more: object = {}) => ({ resourceType: 'Observation', subject, ...more })
const of = (patient: string, more: object = {}) => observation({ reference: `Patient/${patient}` }, more)
const patient = (id: string | undefined, more: object = {}) => ({ resourceType: 'Patient', ...(id && { id }), ...more })
const bundle = (entry: unknown[], type = 'searchset') => ({ resourceType: 'Bundle', type, entry })
const entries = (...resources: readonly unknown[]) => resources.map((resource) => ({ resource }))
const identifier = { system: 'urn:mrn', value: '9' }

/** types, patients, resourceCount */
type Row = [what: string, body: unknown, types: string, patients: string[], resources: number | null]

function expectShown([, body, types, patients, resources]: Row): void {
  expect(bodyPhi(body)).toEqual({
    types: types === '' ? [] : types.split(' '),
    patients,
    resourceCount: resources,
    interaction: null,
  })
}

describe('a resource', () => {
  test.each<Row>([
    ['is a patient', patient('7'), 'Patient', ['7'], 1],
    [
      'is a patient without id, known by his first identifier',
      patient('', { identifier: [{}, identifier] }),
      'Patient',
      ['urn:mrn|9'],
      1,
    ],
    ['is a patient of whom nothing is known', patient(undefined), 'Patient', [], 1],
    ['is a patient with an id that can be none', patient('x'.repeat(257)), 'Patient', [], 1],
    ['has a subject', of('7'), 'Observation', ['7'], 1],
    ['has a subject in one of its versions', of('7/_history/2'), 'Observation', ['7'], 1],
    [
      'has a subject elsewhere',
      observation({ reference: 'https://a.example/fhir/r4/Patient/7/_history/2' }),
      'Observation',
      ['7'],
      1,
    ],
    [
      'has a subject known by an identifier',
      observation({ type: 'Patient', identifier }),
      'Observation',
      ['urn:mrn|9'],
      1,
    ],
    [
      'has a subject known by an identifier without system',
      observation({ type: 'Patient', identifier: { value: '9' } }),
      'Observation',
      ['|9'],
      1,
    ],
    [
      'has a subject known by an identifier, and who knows what it is',
      observation({ identifier }),
      'Observation',
      [],
      1,
    ],
    ['has a subject of another type', observation({ type: 'Group', identifier }), 'Observation', [], 1],
    ['has a patient, who needs no type', { resourceType: 'Claim', patient: { identifier } }, 'Claim', ['urn:mrn|9'], 1],
    ['has a group as subject', observation({ reference: 'Group/7' }), 'Observation', [], 1],
    [
      'has a group as subject, and a patient as performer',
      observation(
        { reference: 'Group/7' },
        { performer: [{ reference: 'Practitioner/1' }, { reference: 'Patient/8' }] },
      ),
      'Observation',
      ['8'],
      1,
    ],
    [
      'has a subject: its performer does not count',
      of('7', { performer: [{ reference: 'Patient/8' }] }),
      'Observation',
      ['7'],
      1,
    ],
    [
      'insures somebody',
      { resourceType: 'Coverage', policyHolder: { reference: 'Patient/1' }, beneficiary: { reference: 'Patient/2' } },
      'Coverage',
      ['2'],
      1,
    ],
    [
      'is an appointment of several',
      {
        resourceType: 'Appointment',
        participant: [
          { actor: { reference: 'Patient/1' } },
          { actor: { reference: 'Location/1' } },
          {},
          { actor: { reference: 'Patient/2' } },
        ],
      },
      'Appointment',
      ['1', '2'],
      1,
    ],
    [
      'is a group',
      {
        resourceType: 'Group',
        member: [{ entity: { reference: 'Patient/1' } }, { entity: { reference: 'Patient/2' } }],
      },
      'Group',
      ['1', '2'],
      1,
    ],
    [
      'is a list',
      {
        resourceType: 'List',
        subject: { reference: 'Patient/1' },
        entry: [{ item: { reference: 'Patient/2' } }, { item: { reference: 'Observation/3' } }],
      },
      'List',
      ['1', '2'],
      1,
    ],
    [
      'is a binary',
      { resourceType: 'Binary', securityContext: { reference: 'Patient/1' }, data: 'AAAA' },
      'Binary',
      ['1'],
      1,
    ],
    ['is a task', { resourceType: 'Task', for: { reference: 'Patient/1' } }, 'Task', ['1'], 1],
    [
      'names who did it, and about what',
      {
        resourceType: 'AuditEvent',
        agent: [{ who: { reference: 'Patient/1' } }],
        entity: [{ what: { reference: 'Patient/2' } }],
      },
      'AuditEvent',
      ['1', '2'],
      1,
    ],
    ['has no patient', { resourceType: 'ValueSet', id: '1', subject: { reference: 'Patient/7' } }, 'ValueSet', [], 1],
    [
      'says so where FHIR does not look',
      of('7', { note: [{ authorReference: { reference: 'Patient/8' } }] }),
      'Observation',
      ['7'],
      1,
    ],
  ])('%s', (...row) => expectShown(row))

  test.each([
    'Patient/',
    'Patient/a b',
    'Patient/7?x=1',
    'Patient/7/Observation/8',
    'Patients/7',
    'patient/7',
    'XPatient/7',
    'urn:uuid:0b1d3c2b-20e9-42cc-a1a6-749d478b09e9',
    `${'x'.repeat(2048)}/Patient/7`,
    `Patient/${'7'.repeat(257)}`,
    '',
    '#',
    '#7',
  ])('whose subject is %j names nobody', (reference) => {
    expect(bodyPhi(observation({ reference }))?.patients).toEqual([])
  })
})

describe('what is contained', () => {
  const contained = (...all: readonly object[]) => ({ contained: all })
  test.each<Row>([
    [
      'is no resource of its own',
      of('7', contained({ resourceType: 'Device', id: 'd' })),
      'Observation Device',
      ['7'],
      1,
    ],
    [
      'has patients',
      of('7', contained({ resourceType: 'Device', id: 'd', patient: { reference: 'Patient/8' } })),
      'Observation Device',
      ['7', '8'],
      1,
    ],
    [
      'is the subject, known by his identifier',
      observation({ reference: '#p' }, contained(patient('p', { identifier: [identifier] }))),
      'Observation Patient',
      ['urn:mrn|9'],
      1,
    ],
    [
      'is the subject, known by nothing better than his name in here',
      observation({ reference: '#p' }, contained(patient('p'))),
      'Observation Patient',
      ['p'],
      1,
    ],
    ['is a patient whom nothing refers to', observation({}, contained(patient('p'))), 'Observation Patient', ['p'], 1],
    [
      'refers to what is contained beside',
      observation({}, contained(patient('p'), { resourceType: 'Encounter', id: 'e', subject: { reference: '#p' } })),
      'Observation Patient Encounter',
      ['p'],
      1,
    ],
    [
      'refers to what contains it',
      patient('7', contained({ resourceType: 'Flag', subject: { reference: '#' } })),
      'Patient Flag',
      ['7'],
      1,
    ],
    ['is no resource', of('7', contained({ resourceType: 'John Doe' }, { a: 1 })), 'Observation', ['7'], 1],
  ])('%s', (...row) => expectShown(row))
})

describe('a Bundle', () => {
  const uuid = '0b1d3c2b-20e9-42cc-a1a6-749d478b09e9'
  const urn = `urn:uuid:${uuid}`
  test.each<Row>([
    [
      'of 60 observations of 7 patients and 3 patients beside, 2 of them new',
      bundle(
        entries(...Array.from({ length: 60 }, (_, at) => of(String(at % 7))), patient('6'), patient('a'), patient('b')),
      ),
      'Observation Patient',
      ['0', '1', '2', '3', '4', '5', '6', 'a', 'b'],
      63,
    ],
    ['that is empty', bundle([]), '', [], 0],
    ['without entries', { resourceType: 'Bundle', type: 'searchset', total: 0 }, '', [], 0],
    ['with a warning', bundle(entries(patient('7'), { resourceType: 'OperationOutcome' })), 'Patient', ['7'], 1],
    [
      'with something of another release',
      bundle(entries(patient('7'), { resourceType: 'ActorDefinition' })),
      'Patient',
      ['7'],
      2,
    ],
    [
      'with names in it',
      bundle([{ fullUrl: urn, resource: patient('7') }, { resource: observation({ reference: urn }) }]),
      'Patient Observation',
      ['7'],
      2,
    ],
    [
      'with names of what has no id',
      bundle([{ fullUrl: urn, resource: patient(undefined) }, { resource: observation({ reference: urn }) }]),
      'Patient Observation',
      [uuid],
      2,
    ],
    [
      'with names of other things',
      bundle([{ fullUrl: urn, resource: { resourceType: 'Group' } }, { resource: observation({ reference: urn }) }]),
      'Group Observation',
      [],
      2,
    ],
    ['with names that do not lead anywhere', bundle(entries(observation({ reference: urn }))), 'Observation', [], 1],
    ['in a Bundle', bundle(entries(bundle(entries(of('7'))), of('8'))), 'Observation', ['7', '8'], 2],
    [
      'that is a history',
      bundle(
        [
          { fullUrl: 'https://a.example/Patient/7', request: { method: 'DELETE', url: 'Patient/7' } },
          { request: { method: 'DELETE', url: 'Observation/8' } },
        ],
        'history',
      ),
      'Patient Observation',
      ['7'],
      2,
    ],
    [
      'with entries that are none',
      bundle([null, 'x', 7, {}, [], { resource: null }, { resource: 'Patient/7' }]),
      '',
      [],
      0,
    ],
  ])('%s', (...row) => expectShown(row))

  test.each([
    ['batch-response', 'batch'],
    ['transaction-response', 'transaction'],
  ])('that is a %s says what was done', (type, interaction) => {
    const body = bundle(
      [
        { response: { status: '201 Created', location: 'Patient/1/_history/1' } },
        { response: { status: '201 Created', location: 'https://a.example/fhir/Observation/2/_history/1' } },
        { response: { status: '200 OK' }, resource: bundle(entries(of('3'), of('4'))) },
        { response: { status: '204 No Content' } },
        { response: { status: '404 Not Found', location: 'Patient/5' } },
        { response: { status: '500' }, resource: patient('6') },
        { response: { status: '201', location: 'JohnDoe/1' } },
      ],
      type,
    )
    expect(bodyPhi(body)).toEqual({
      types: ['Patient', 'Observation'],
      patients: ['1', '3', '4'],
      resourceCount: 4,
      interaction,
    })
  })
})

test.each<Row>([
  [
    'a list of resources',
    [of('1'), patient('2'), { resourceType: 'OperationOutcome' }, 7, { a: 1 }],
    'Observation Patient',
    ['1', '2'],
    2,
  ],
  ['a list of Bundles', [bundle(entries(of('1'))), bundle(entries(of('2')))], 'Observation', ['1', '2'], 2],
  [
    'parameters',
    {
      resourceType: 'Parameters',
      parameter: [{ name: 'a', resource: of('1') }, { part: [{ resource: bundle(entries(of('2'))) }] }, null],
    },
    'Observation',
    ['1', '2'],
    2,
  ],
])('%s', (...row) => expectShown(row))

describe('nothing is attributed to', () => {
  test.each<[string, unknown]>([
    ['null', null],
    ['undefined', undefined],
    ['text', JSON.stringify(patient('7'))],
    ['a number', 7],
    ['bytes', Buffer.from(JSON.stringify(patient('7')))],
    ['a stream', Readable.from([JSON.stringify(patient('7'))])],
    ['a web stream', new ReadableStream()],
    ['a function', Object.assign(() => undefined, patient('7'))],
    ['a map', new Map(Object.entries(patient('7')))],
    ['an object', { id: '7', subject: { reference: 'Patient/7' } }],
    ['an envelope', { data: [patient('7')], resource: patient('7') }],
    ['a list', [1, 'Patient/7', null, [patient('7')], { data: patient('7') }]],
    ['an empty list', []],
    ['an outcome', { resourceType: 'OperationOutcome', issue: [{ diagnostics: 'Patient/7' }] }],
    ['a list of outcomes', [{ resourceType: 'OperationOutcome' }]],
    [
      'parameters without resources',
      { resourceType: 'Parameters', parameter: [{ name: 'a', valueString: 'Patient/7' }] },
    ],
    ['what is no type of FHIR', { resourceType: 'John Doe', id: '7' }],
    ['a type that is no text', { resourceType: ['Patient'], id: '7' }],
    ['a type on every prototype', { resourceType: 'toString', id: '7' }],
    ['an ORM’s document', Object.create({ resourceType: 'Patient', id: '7' })],
  ])('%s', (_what, body) => {
    expect(bodyPhi(body)).toBeNull()
  })
})

describe('the walk runs no code of the body and is not broken by it', () => {
  const ran: string[] = []
  const run = (what: string) => () => {
    ran.push(what)
    throw new Error('ran')
  }
  const trap = <T extends object>(target: T): T =>
    new Proxy(
      target,
      Object.fromEntries(
        ['get', 'has', 'ownKeys', 'getOwnPropertyDescriptor', 'getPrototypeOf', 'set', 'defineProperty'].map((name) => [
          name,
          run(name),
        ]),
      ),
    )
  const getter = (name: string, rest: object = {}): object =>
    Object.defineProperty({ ...rest }, name, { get: run(name), enumerable: true })
  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable<object[]>([], {})
    revoke()
    return proxy
  }

  test.each<[string, () => unknown, string[] | null]>([
    ['a getter for the type', () => getter('resourceType', { id: '7' }), null],
    ['a getter for the id', () => getter('id', { resourceType: 'Patient' }), []],
    ['a getter for the subject', () => getter('subject', { resourceType: 'Observation' }), []],
    ['a getter for the reference', () => observation(getter('reference')), []],
    ['a getter for what is contained', () => getter('contained', of('7')), ['7']],
    ['a getter for the entries', () => getter('entry', { resourceType: 'Bundle' }), []],
    [
      'a getter for one entry',
      () => bundle(Object.defineProperty(entries(of('7'), of('8')), 0, { get: run('0') })),
      ['8'],
    ],
    ['a getter in an entry', () => bundle([getter('resource'), ...entries(of('8'))]), ['8']],
    ['a setter', () => Object.defineProperty({ resourceType: 'Patient' }, 'id', { set: run('set') }), []],
    ['toJSON', () => ({ ...patient('7'), toJSON: run('toJSON') }), ['7']],
    ['an iterator', () => bundle(Object.assign(entries(of('7')), { [Symbol.iterator]: run('iterator') })), ['7']],
    [
      'conversions',
      () => ({
        ...patient('7'),
        toString: run('toString'),
        valueOf: run('valueOf'),
        [Symbol.toPrimitive]: run('primitive'),
      }),
      ['7'],
    ],
    ['an id that converts', () => patient(undefined, { id: { toString: run('toString'), length: 1 } }), []],
    ['a proxy', () => trap(patient('7')), null],
    ['a proxy of a list', () => trap([patient('7')]), null],
    ['a proxy of the entries', () => bundle(trap(entries(of('7')))), []],
    ['a proxy of a resource', () => bundle(entries(trap(of('7')), of('8'))), ['8']],
    ['a proxy of a reference', () => observation(trap({ reference: 'Patient/7' })), []],
    ['a revoked proxy', revoked, null],
    ['a revoked proxy of the entries', () => bundle(revoked()), []],
    ['a revoked proxy of a subject', () => observation(revoked()), []],
  ])('%s', (_what, build, patients) => {
    ran.length = 0
    const body = build()
    expect(bodyPhi(body)?.patients ?? null).toEqual(patients)
    expect(ran).toEqual([])
  })

  test('polluted prototypes', () => {
    const root = Object.getPrototypeOf({}) as object
    const list = Object.getPrototypeOf([]) as unknown[]
    const bodies = [
      {},
      { a: 1 },
      [{}],
      { resourceType: 'Observation' },
      getter('subject', { resourceType: 'Observation' }),
    ]
    const before = bodies.map(bodyPhi)
    const names = [
      'resourceType',
      'id',
      'subject',
      'reference',
      'entry',
      'resource',
      'contained',
      'value',
      'identifier',
    ]
    const values = new Map<string, unknown>([
      ['resourceType', 'Patient'],
      ['id', '7'],
      ['reference', 'Patient/7'],
      // Read off the descriptor of a getter.
      ['value', { reference: 'Patient/7' }],
    ])
    for (const name of names) {
      const value = values.get(name) ?? [patient('7')]
      Object.defineProperty(root, name, { __proto__: null, value, configurable: true, writable: true } as object)
    }
    Object.defineProperty(list, 0, { __proto__: null, value: patient('7'), configurable: true } as object)
    const after = [...bodies, []].map(bodyPhi)
    const sparse = bodyPhi(bundle(Array.from({ length: 1 }).fill(undefined)))
    for (const name of names) Reflect.deleteProperty(root, name)
    Reflect.deleteProperty(list, 0)
    list.length = 0
    expect(after).toEqual([...before, null])
    expect(sparse?.patients).toEqual([])
  })

  test('what leads back to itself', () => {
    const self: Record<string, unknown> = { ...of('7') }
    Object.assign(self, { contained: [self], subject: { reference: '#', self }, hasMember: [self], id: 'o' })
    expect(bodyPhi(self)).toMatchObject({ types: ['Observation'], resourceCount: 1 })
    const ring = bundle(entries(of('7')))
    ring.entry.push({ resource: ring as never })
    expect(bodyPhi(ring)?.patients).toEqual(['7'])
    const wide = bundle(Array.from({ length: 1000 }))
    for (let at = 0; at < 1000; at += 1) wide.entry[at] = { resource: wide }
    expect(bodyPhi(wide)).toMatchObject({ patients: [], resourceCount: null })
    const parameters: Record<string, unknown> = { resourceType: 'Parameters' }
    parameters['parameter'] = [{ part: [parameters, { resource: of('7') }] }, parameters]
    expect(bodyPhi(parameters)?.patients).toEqual(['7'])
  })

  test('what has no end: the count is not known then, and what was found is kept', () => {
    const body = bundle(entries(of('7')))
    body.entry.length = 4_000_000_000
    expect(bodyPhi(body)).toMatchObject({ patients: ['7'], resourceCount: null })
    expect(bodyPhi(Object.assign([patient('7')], { length: 4_000_000_000 }))).toMatchObject({ patients: ['7'] })
    const lost = bundle(entries(observation({ reference: 'urn:uuid:nobody' })))
    lost.entry.length = 4_000_000_000
    expect(bodyPhi(lost)?.patients).toEqual([])
  })

  test('what is frozen, and what has no prototype', () => {
    const body = Object.freeze(Object.assign(Object.create(null) as object, patient('7')))
    expect(bodyPhi(body)?.patients).toEqual(['7'])
  })

  test('the body stays as it was', () => {
    const body = bundle([{ fullUrl: 'urn:uuid:1', resource: of('7', { contained: [patient('p')] }) }])
    const before = structuredClone(body)
    bodyPhi(body)
    expect(body).toEqual(before)
  })
})

test('many different patients are all named', () => {
  const found = bodyPhi(bundle(entries(...Array.from({ length: 12_345 }, (_, at) => of(`p${at}`)))))
  expect(found?.resourceCount).toBe(12_345)
  expect(new Set(found?.patients).size).toBe(12_345)
})

function expectAsOracle(file: string, resource: JsonObject): void {
  const expected = shownIn(resource)
  const found = bodyPhi(resource)
  const shown = {
    file,
    types: [...(found?.types ?? [])].toSorted(),
    patients: [...(found?.patients ?? [])].toSorted(),
    resources: found?.resourceCount ?? 0,
  }
  expect(shown).toEqual({
    file,
    types: [...expected.types].toSorted(),
    patients: [...expected.patients].toSorted(),
    resources: expected.resources,
  })
}

/** What defines FHIR itself is most of the files, and shows nobody: `npm run prove:capture` walks it too. */
const DEFINITIONS = /^(SearchParameter|ValueSet|CodeSystem|StructureDefinition|ConceptMap)-/
const all = process.env['HC_PROVE_CAPTURE'] === '1'

test('of the examples of FHIR R4 it finds what their definitions say', { timeout: 300_000 }, () => {
  const files = all ? fhirFiles() : fhirFiles(1_000_000).filter((file) => !DEFINITIONS.test(file))
  let [patients, types] = [0, new Set<string>()]
  for (const file of files) {
    const resource = readFhir(file)
    expectAsOracle(file, resource)
    const found = bodyPhi(resource)
    patients += found?.patients.length ?? 0
    types = new Set([...types, ...(found?.types ?? [])])
  }
  expect(files.length).toBeGreaterThan(all ? 5300 : 700)
  expect(patients).toBeGreaterThan(500)
  expect(types.size).toBeGreaterThan(100)
})

test('of Bundles made of them, in any order and depth, too', { timeout: 300_000 }, () => {
  const examples = fhirFiles(100_000)
    .filter((file) => !DEFINITIONS.test(file))
    .map(readFhir)
  const resource = fc.constantFrom(...examples)
  const entry = fc.record({
    fullUrl: fc.constantFrom('urn:uuid:a', 'urn:uuid:b', 'https://a.example/Patient/1'),
    resource: fc.oneof(
      resource,
      fc
        .constantFrom('urn:uuid:a', 'urn:uuid:b')
        .map((reference) => observation({ reference }) as unknown as JsonObject),
    ),
  })
  const unique = fc.uniqueArray(entry, { maxLength: 8, selector: ({ fullUrl }) => fullUrl })
  const nested = fc.array(
    unique.map((list) => bundle(list) as unknown as Json),
    { maxLength: 4 },
  )
  fc.assert(
    fc.property(nested, unique, (bundles, list) => {
      expectAsOracle('', bundle([...list, ...bundles.map((each) => ({ resource: each }))]) as unknown as JsonObject)
    }),
    { numRuns: all ? 2000 : 200 },
  )
})
