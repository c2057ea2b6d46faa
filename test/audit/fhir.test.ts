import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../src/audit/event.ts'
import { toFhirAuditEvents, type FhirAuditEvent } from '../../src/audit/fhir.ts'
import { anyEvent, anyText, INTERACTIONS } from './fhir/arbitrary-event.ts'
import { auditEvent, auditPhi, patient, SAMPLES } from './fhir/events.ts'
import { brokenRules, patientsOf, profilesOf, REST_PROFILES } from './fhir/balp.ts'
import { CODE_SYSTEMS, codingsIn, r4Errors } from './fhir/r4.ts'

const GOLDEN = join(import.meta.dirname, 'fhir/golden')

/** The one AuditEvent of an event that has no more than one patient. */
function only(event: AuditEvent): FhirAuditEvent {
  const [first, ...more] = toFhirAuditEvents(event)
  expect(more).toEqual([])
  if (first === undefined) throw new Error('There is no AuditEvent.')
  return first
}

function detail(resource: FhirAuditEvent): Readonly<Record<string, string>> {
  return Object.fromEntries(
    resource.entity.flatMap(({ detail: list = [] }) => list.map(({ type, valueString }) => [type, valueString])),
  )
}

function codes(resource: FhirAuditEvent): readonly string[] {
  return [resource.type, ...(resource.subtype ?? [])].map(({ code }) => code)
}

describe('golden files', () => {
  test('there is one for each sample, and no other', () => {
    expect(readdirSync(GOLDEN).toSorted()).toEqual(
      Object.keys(SAMPLES)
        .map((name) => `${name}.json`)
        .toSorted(),
    )
  })

  test.each(Object.entries(SAMPLES))('%s', (name, event) => {
    const expected = readFileSync(join(GOLDEN, `${name}.json`), 'utf8')
    expect(`${JSON.stringify(toFhirAuditEvents(event), null, 2)}\n`).toBe(expected)
  })
})

describe('FHIR R4', () => {
  test.each(Object.entries(SAMPLES))('%s is valid', (_, event) => {
    expect(toFhirAuditEvents(event).flatMap(r4Errors)).toEqual([])
  })

  test('finds what is not', () => {
    const good = only(SAMPLES['read'] ?? auditEvent())
    const bad: readonly object[] = [
      { ...good, outcome: '5' },
      { ...good, recorded: '2026-11-24' },
      { ...good, extra: 1 },
      { ...good, subtype: [] },
      { ...good, agent: [{ ...good.agent[0], network: { address: 'x', type: '9' } }] },
      { ...good, entity: [{ ...good.entity[0], query: '' }] },
      { ...good, outcomeDesc: 'a\u00a0b' },
    ]
    for (const each of bad) expect(r4Errors(each as FhirAuditEvent), JSON.stringify(each)).not.toEqual([])
  })

  test('any event is valid, keeps the profiles that it claims and names published codes alone', () => {
    fc.assert(
      fc.property(anyEvent(anyText), (event) => {
        for (const resource of toFhirAuditEvents(event)) {
          expect(r4Errors(resource)).toEqual([])
          expect(brokenRules(resource)).toEqual([])
          expect(unknownCodes(resource)).toEqual([])
        }
      }),
      { numRuns: 600 },
    )
  })

  test('any call that ended well keeps the profile that it claims, and many claim one', () => {
    const claimed = new Set<string>()
    const wellDone = { kind: 'access', name: 'request', outcome: 'success', target: null } as const
    const called = fc
      .tuple(anyEvent(anyText), fc.constantFrom(...INTERACTIONS))
      .map(([event, interaction]) =>
        Object.assign(event, wellDone, { phi: { ...(event.phi ?? auditPhi({ patients: [] })), interaction } }),
      )
    fc.assert(
      fc.property(called, (event) => {
        for (const resource of toFhirAuditEvents(event)) {
          expect(brokenRules(resource)).toEqual([])
          for (const profile of profilesOf(resource)) claimed.add(profile)
        }
      }),
      { numRuns: 800 },
    )
    const rest = Object.keys(REST_PROFILES)
    expect(claimed).toEqual(new Set([...rest, ...rest.map((name) => `Patient${name}`), 'OAUTHaccessTokenUse.Minimal']))
  })

  test.each(Object.entries(SAMPLES))('%s names published codes by their published names', (_, event) => {
    for (const resource of toFhirAuditEvents(event)) expect(unknownCodes(resource)).toEqual([])
  })

  function unknownCodes(resource: FhirAuditEvent): readonly unknown[] {
    return codingsIn(resource).filter(({ system, code, display }) => {
      if (system === 'urn:healthcloud:audit:event-name') return display !== undefined
      const known = CODE_SYSTEMS.get(system)
      return known?.has(code) !== true || (display !== undefined && known.get(code) !== display)
    })
  }
})

describe('the profiles of BALP', () => {
  const interactions: readonly (readonly [interaction: string, action: AuditEvent['action'], profile: string])[] = [
    ['create', 'C', 'Create'],
    ['read', 'R', 'Read'],
    ['vread', 'R', 'Read'],
    ['update', 'U', 'Update'],
    ['patch', 'U', 'Update'],
    ['delete', 'D', 'Delete'],
    ['search', 'E', 'Query'],
    ['search-type', 'R', 'Query'],
    ['search-system', 'E', 'Query'],
  ]

  test.each(interactions)('%s with action %s is %s, with a patient and without', (interaction, action, profile) => {
    const key = auditEvent({ action, phi: auditPhi({ interaction }) })
    const token = {
      ...key,
      actor: { ...key.actor, kind: 'access-token', sub: 'usr_1', jti: 'j' },
      phi: auditPhi({ interaction, patients: [], patientCount: null }),
    } as const
    expect(profilesOf(only(key))).toEqual([`Patient${profile}`])
    expect(profilesOf(only(token))).toEqual([profile, 'OAUTHaccessTokenUse.Minimal'])
    expect([...brokenRules(only(key)), ...brokenRules(only(token))]).toEqual([])
  })

  test('are all of the table', () => {
    expect(new Set(interactions.map(([, , profile]) => profile))).toEqual(new Set(Object.keys(REST_PROFILES)))
  })

  test('are broken by each element that is taken away', () => {
    const resource = only(SAMPLES['read'] ?? auditEvent())
    const without = (change: object) => brokenRules({ ...resource, ...change })
    expect(without({ outcome: '4' })).toEqual(['outcome'])
    expect(without({ subtype: [] })).toEqual(['subtype'])
    expect(without({ action: 'E' })).toEqual(['action'])
    expect(without({ recorded: undefined })).toEqual(['recorded'])
    expect(without({ agent: resource.agent.slice(1) })).toEqual(['client 1..1'])
    expect(without({ agent: [...resource.agent, ...resource.agent] })).toEqual([
      'client 1..1',
      'server 1..1',
      'user 0..1',
    ])
    expect(without({ entity: resource.entity.slice(1) })).toEqual(['patient'])
    expect(without({ entity: resource.entity.toSpliced(1, 1) })).toEqual(['data 1..1'])
    expect(without({ agent: resource.agent.toSpliced(2, 1) })).toEqual(['oUser 1..'])
  })

  test.each([
    ['that did not end well', auditEvent({ outcome: 'error', reason: 'handler_error' })],
    ['that was refused', auditEvent({ outcome: 'denied', reason: 'scope_missing' })],
    ['whose address is not known', auditEvent({ client: { ip: null, via: 0 } })],
    ['whose interaction is not known', auditEvent({ phi: auditPhi({ interaction: null }) })],
    ['that names no resource type', auditEvent({ phi: auditPhi({ types: [] }) })],
    ['of an interaction without a profile', auditEvent({ phi: auditPhi({ interaction: 'history-type' }) })],
    ['that concerns no PHI', auditEvent({ phi: null })],
    ['with two objects', auditEvent({ target: { keyId: 'key_2', org: 'org_1', fields: [] } })],
  ])('are not claimed for a call %s', (_, event) => {
    expect(only(event).meta).toBeUndefined()
  })

  test('are told of a test server, too, with the label that says so', () => {
    expect(only(auditEvent({ env: 'test' })).meta?.security?.map(({ code }) => code)).toEqual(['HTEST'])
    expect(only(auditEvent({ env: 'test', outcome: 'aborted' })).meta).toEqual({
      security: [
        { system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code: 'HTEST', display: 'test health data' },
      ],
    })
    expect(only(auditEvent()).meta?.security).toBeUndefined()
  })
})

describe('one AuditEvent for each patient', () => {
  /** 60 Observations of 7 patients, and 3 patients beside them of whom 2 are new. */
  const search = auditEvent({
    action: 'E',
    http: { method: 'GET', route: '/Observation', status: 200, query: ['_count', 'code'], bytes: 90_000 },
    phi: auditPhi({
      interaction: 'search-type',
      types: ['Observation', 'Patient'],
      patients: Array.from({ length: 9 }, (_, n) => patient(n)),
      patientCount: 9,
      resourceCount: 63,
    }),
  })

  test('60 Observations of 9 patients are nine, with stable ids of their own', () => {
    const resources = toFhirAuditEvents(search)
    expect(resources.map((each) => patientsOf(each).map(({ what }) => what?.identifier?.value))).toEqual(
      search.phi?.patients.map((pseudonym) => [pseudonym]),
    )
    expect(new Set(resources.map(({ id }) => id)).size).toBe(9)
    expect(toFhirAuditEvents(structuredClone(search))).toEqual(resources)
    for (const each of resources) {
      expect(profilesOf(each)).toEqual(['PatientQuery'])
      expect(brokenRules(each)).toEqual([])
      expect(r4Errors(each)).toEqual([])
      expect(detail(each)).toMatchObject({ 'phi.patientCount': '9', 'phi.resourceCount': '63' })
    }
  })

  test('they differ in patient and id alone', () => {
    const [first, ...more] = toFhirAuditEvents(search)
    for (const each of more) {
      expect({ ...each, id: first?.id, entity: each.entity.slice(1) }).toEqual({
        ...first,
        entity: first?.entity.slice(1),
      })
    }
  })

  test('a patient who is named twice has one', () => {
    const twice = auditEvent({ phi: auditPhi({ patients: [patient(1), patient(2), patient(1)] }) })
    expect(toFhirAuditEvents(twice)).toHaveLength(2)
  })

  test('the same patient in two events has two', () => {
    const other = auditEvent({ id: '019abcde-0000-7000-8000-000000000002' })
    expect(only(other).id).not.toBe(only(auditEvent()).id)
  })

  test('an event that names nobody keeps its id, in lower case', () => {
    const id = '019ABCDE-0000-7000-8000-00000000000F'
    expect(only(auditEvent({ id, phi: null })).id).toBe(id.toLowerCase())
    expect(only(auditEvent({ id, phi: auditPhi({ patients: [] }) })).id).toBe(id.toLowerCase())
  })

  test('an event whose id is no UUID is none of ours', () => {
    for (const id of ['', '7', 'hc_live_sk_AbC12xYz9kLmNpQr', `${auditEvent().id} `])
      expect(() => toFhirAuditEvents(auditEvent({ id }))).toThrow(
        new TypeError('toFhirAuditEvents takes an event whose id is a UUID.'),
      )
  })

  test('a refusal about patients is told for each of them', () => {
    const refused = { ...search, outcome: 'denied', reason: 'scope_missing' } as const
    expect(toFhirAuditEvents(refused)).toHaveLength(9)
  })
})

describe('type, subtype and outcome', () => {
  test.each<[string, Partial<AuditEvent>, readonly string[], FhirAuditEvent['outcome']]>([
    ['a call', {}, ['rest', 'read'], '0'],
    ['a bad key: 401', { outcome: 'denied', reason: 'key_unknown' }, ['110114', '110122', 'read'], '4'],
    ['a bad token: 401', { outcome: 'denied', reason: 'jwt_signature' }, ['110114', '110122', 'read'], '4'],
    ['a missing scope: 403', { outcome: 'denied', reason: 'scope_missing' }, ['110113', '110132', 'read'], '8'],
    ['a foreign address: 403', { outcome: 'denied', reason: 'ip_not_allowed' }, ['110113', '110132', 'read'], '8'],
    ['too many attempts: 429', { outcome: 'denied', reason: 'rate_limited' }, ['110114', '110122', 'read'], '4'],
    ['a refusal without reason', { outcome: 'denied' }, ['110113', '110132', 'read'], '8'],
    ['a handler that failed', failure('handler_error', 500), ['rest', 'read'], '8'],
    ['a handler that found nothing', failure('handler_error', 404), ['rest', 'read'], '4'],
    ['no such route', failure('not_found', 404), ['rest', 'read'], '4'],
    ['a store out of reach', failure('store_unavailable', 503), ['rest', 'read'], '8'],
    ['an outage before any answer', failure('audit_unavailable', null), ['rest', 'read'], '8'],
    ['a client that left', { outcome: 'aborted', reason: 'client_aborted' }, ['rest', 'read'], '4'],
    ['a process that died', { outcome: 'interrupted', reason: 'process_interrupted' }, ['rest', 'read'], '12'],
    ['a call without PHI', { phi: null }, ['rest'], '0'],
    ['a login', quiet('auth', 'verify'), ['110114', '110122', 'verify'], '0'],
    [
      'a failed one',
      { ...quiet('auth', 'verify'), outcome: 'denied', reason: 'key_expired' },
      ['110114', '110122', 'verify'],
      '4',
    ],
    ['a token', quiet('auth', 'token.exchange'), ['110114', 'ITI-71', 'token.exchange'], '0'],
    [
      'none',
      { ...quiet('auth', 'token.exchange'), outcome: 'denied', reason: 'scope_invalid' },
      ['110113', '110132', 'ITI-71', 'token.exchange'],
      '8',
    ],
    ['a question about a token', quiet('auth', 'token.introspect'), ['110114', 'ITI-102', 'token.introspect'], '0'],
    ['a revoked token', quiet('admin', 'token.revoke'), ['110113', '110137', 'token.revoke'], '0'],
    ['a new key', quiet('admin', 'key.create'), ['110113', '110137', 'key.create'], '0'],
    [
      'a change that may have failed',
      { ...quiet('admin', 'key.update'), outcome: 'error', reason: 'store_unavailable' },
      ['110113', '110137', 'key.update'],
      '8',
    ],
    ['a start', quiet('system', 'audit.started'), ['110113', '110134', 'audit.started'], '0'],
    ['a stop', quiet('system', 'audit.stopped'), ['110113', '110133', 'audit.stopped'], '0'],
    [
      'a gap',
      { ...quiet('system', 'audit.gap'), outcome: 'error', reason: 'audit_unavailable' },
      ['110113', '110133', 'audit.gap'],
      '8',
    ],
    ['a recovery', quiet('system', 'audit.recovered'), ['110100', 'audit.recovered'], '0'],
    ['a checkpoint', quiet('system', 'audit.checkpoint'), ['110100', 'audit.checkpoint'], '0'],
    ['a deletion by age', quiet('system', 'audit.retention'), ['110100', 'audit.retention'], '0'],
    ['a clock that jumped', quiet('system', 'clock.jump'), ['110113', 'clock.jump'], '0'],
  ])('%s', (_, change, expected, outcome) => {
    const resource = only(auditEvent(change))
    expect([codes(resource), resource.outcome, resource.outcomeDesc ?? null]).toEqual([
      expected,
      outcome,
      change.reason ?? null,
    ])
  })

  function failure(reason: AuditEvent['reason'], status: number | null): Partial<AuditEvent> {
    return { outcome: 'error', reason, http: { method: 'GET', route: '/x', status, query: [], bytes: 0 } }
  }

  function quiet(kind: AuditEvent['kind'], name: AuditEvent['name']): Partial<AuditEvent> {
    return { kind, name, action: 'E', http: null, phi: null }
  }
})

describe('agents', () => {
  function agents(change: Partial<AuditEvent>): readonly (readonly [type: string, who: string | undefined])[] {
    return only(auditEvent(change)).agent.map(({ type, who }) => [
      (type.coding ?? []).map(({ code }) => code).join('+'),
      who?.identifier?.value ?? who?.display,
    ])
  }

  const { actor } = auditEvent()

  test('of a key: client, server and organization; nobody is a user', () => {
    expect(agents({})).toEqual([
      ['110152', 'key_1'],
      ['110153', 'records'],
      ['PROV', 'org_1'],
    ])
  })

  test('of a token: its subject, with the token as policy', () => {
    const token = { actor: { ...actor, kind: 'access-token', sub: 'usr_1', jti: 'a b#%' } } as const
    expect(agents(token)[2]).toEqual(['IRCP+UserOauthAgent', 'usr_1'])
    expect(only(auditEvent(token)).agent[2]?.policy).toEqual(['urn:ietf:params:oauth:jti:a%20b%23%25'])
    expect(only(auditEvent(token)).agent.map(({ requestor }) => requestor)).toEqual([false, false, true, false])
  })

  test('of a token that names no subject, or has no id', () => {
    expect(agents({ actor: { ...actor, kind: 'access-token', jti: 'j' } })[2]).toEqual(['UserOauthAgent', undefined])
    expect(agents({ actor: { ...actor, kind: 'access-token', sub: 'usr_1' } })[2]).toEqual(['IRCP', 'usr_1'])
  })

  test('of a key that is not known', () => {
    const nobody = { ...actor, org: null, keyId: null }
    expect(agents({ actor: nobody, outcome: 'denied', reason: 'key_unknown' })).toEqual([
      ['110150', 'unidentified caller'],
      ['authserver', 'records'],
    ])
  })

  test('a minted and a revoked token are no user but what it was about', () => {
    for (const name of ['token.exchange', 'token.revoke'] as const) {
      const resource = only(
        auditEvent({
          kind: name === 'token.revoke' ? 'admin' : 'auth',
          name,
          phi: null,
          actor: { ...actor, jti: 'j' },
        }),
      )
      expect(resource.agent.filter(({ policy }) => policy !== undefined)).toEqual([])
      expect(resource.entity.map(({ what }) => what?.identifier?.value)).toContain('urn:ietf:params:oauth:jti:j')
      expect(resource.meta).toBeUndefined()
    }
  })

  test.each([
    ['203.0.113.7', { address: '203.0.113.7', type: '2' }],
    ['2001:db8::1', { address: '2001:db8::1', type: '2' }],
    ['203.0.113.0/24', { address: '203.0.113.0/24' }],
    ['*', { address: '*' }],
    [null, undefined],
  ])('the address %s', (ip, expected) => {
    expect(only(auditEvent({ client: { ip, via: 0 } })).agent[0]?.network).toEqual(expected)
  })
})

describe('what the event says beside', () => {
  test('the query is that of the caller without its values', () => {
    const { entity } = only(
      auditEvent({
        http: { method: 'GET', route: '/v1/patients', status: 200, query: ['*', '_count', 'näme&x=1'], bytes: 1 },
        phi: auditPhi({ interaction: 'search-type' }),
      }),
    )
    const queries = entity.flatMap(({ query }) =>
      query === undefined ? [] : [Buffer.from(query, 'base64').toString()],
    )
    expect(queries).toEqual(['GET /v1/patients?*=*&_count=*&n%C3%A4me%26x%3D1=*'])
  })

  test.each<[string, Partial<AuditEvent>, object]>([
    ['a continuation', { part: { n: 2, of_id: 'first' } }, { 'part.n': '2', 'part.of_id': 'first' }],
    ['refusals that were folded', { count: 431 }, { count: '431' }],
    [
      'a rotated key',
      { actor: { ...auditEvent().actor, graceEnds: '2026-11-25T00:00:00.000Z' } },
      { 'actor.graceEnds': '2026-11-25T00:00:00.000Z' },
    ],
    [
      'an export',
      { phi: auditPhi({ bulk: true, patientCount: 812 }) },
      { 'phi.bulk': 'true', 'phi.patientCount': '812' },
    ],
    ['a client that left', { outcome: 'aborted', delivered: 'partial' }, { delivered: 'partial' }],
  ])('%s', (_, change, expected) => {
    expect(detail(only(auditEvent(change)))).toMatchObject(expected)
  })

  test('a credential among the words of a list leaves its neighbours', () => {
    const scopes = { granted: ['read:patients', 'hc_live_sk_x', 'exec:agents'], required: [] }
    expect(detail(only(auditEvent({ scopes })))).toMatchObject({ 'scopes.granted': 'read:patients * exec:agents' })
  })

  test('a deletion by age says what is gone, and the signature', () => {
    const retention = {
      writer: 'w1',
      segments: [1, 3],
      lastSeq: 900,
      lastHash: 'ab',
      signed: { keyId: 'ed25519:k', signature: 's' },
    } as const
    expect(detail(only(auditEvent({ kind: 'system', name: 'audit.retention', phi: null, retention })))).toMatchObject({
      'retention.writer': 'w1',
      'retention.segments': '1 3',
      'retention.lastSeq': '900',
      'retention.lastHash': 'ab',
      'retention.signed.keyId': 'ed25519:k',
      'retention.signed.signature': 's',
    })
  })

  test('null says nothing', () => {
    const bare = auditEvent({
      action: null,
      actor: { kind: 'none', org: null, keyId: null, sub: null, jti: null, graceEnds: null, by: null },
      http: null,
      requestId: null,
      phi: null,
      delivered: null,
      prev: null,
      service: { name: 'records', version: null, instance: 'i' },
    })
    expect(JSON.stringify(toFhirAuditEvents(bare))).not.toMatch(/null|undefined/)
    expect(only(bare).action).toBeUndefined()
    expect(only(bare).source.observer.display).toBe('records')
  })

  test('a purpose that HL7 does not know is a text', () => {
    expect(only(auditEvent({ purpose: 'LOCAL_ONE' })).purposeOfEvent).toEqual([{ text: 'LOCAL_ONE' }])
    expect(only(auditEvent({ purpose: 'TREAT' })).purposeOfEvent?.[0]?.coding?.[0]?.code).toBe('TREAT')
  })

  test.each([
    ['2026-11-24T03:05:11.123Z', 12.4, '2026-11-24T03:05:11.123Z', '2026-11-24T03:05:11.135Z'],
    ['2026-12-31T23:59:59.999Z', 1, '2026-12-31T23:59:59.999Z', '2027-01-01T00:00:00.000Z'],
    ['+275760-09-13T00:00:00.000Z', 0, '9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
    ['-000001-01-01T00:00:00.000Z', 0, '0001-01-01T00:00:00.000Z', '0001-01-01T00:00:00.000Z'],
    ['yesterday', 0, '1970-01-01T00:00:00.000Z', '1970-01-01T00:00:00.000Z'],
  ])('%s and %d ms are a period', (time, durationMs, start, end) => {
    expect(only(auditEvent({ time, durationMs })).period).toEqual({ start, end })
  })

  test('nobody knows when an interrupted call ended', () => {
    expect(only(auditEvent({ outcome: 'interrupted' })).period).toEqual({ start: '2026-11-24T03:05:11.123Z' })
  })

  test('is frozen throughout, and the event is left as it was', () => {
    const event = SAMPLES['search'] ?? auditEvent()
    const before = JSON.stringify(event)
    const frozen = (value: object): boolean =>
      Object.isFrozen(value) &&
      Object.values(value).every((member) => typeof member !== 'object' || member === null || frozen(member))
    expect(toFhirAuditEvents(event).every(frozen)).toBe(true)
    expect(JSON.stringify(event)).toBe(before)
    expect(Object.isFrozen(event.phi)).toBe(false)
  })

  test('reads nothing off a polluted prototype', () => {
    const before = JSON.stringify(toFhirAuditEvents(auditEvent()))
    const planted = { keyId: 'planted', signature: 'planted', writer: 'planted', segments: [1, 1], signed: null }
    const names = [
      'checkpoint',
      'retention',
      'display',
      'profile',
      'query',
      'network',
      'policy',
      'role',
      'action',
      'what',
    ]
    const root: object = Object.prototype
    for (const name of names) Object.defineProperty(root, name, { value: planted, configurable: true })
    try {
      expect(JSON.stringify(toFhirAuditEvents(auditEvent()))).toBe(before)
      const unknown = auditEvent({ client: { ip: null, via: 0 } })
      expect(Object.hasOwn(only(unknown), 'meta')).toBe(false)
    } finally {
      for (const name of names) Reflect.deleteProperty(root, name)
    }
  })
})
