// Handlers that know patients by name, and that fail with their names.
import { inspect } from 'node:util'

export function createRoutes({ keys, texts, note }) {
  const fails = (text) => () => {
    throw new Error(text, { cause: keys.good })
  }
  const patient = {
    resourceType: 'Patient',
    id: texts.touched,
    identifier: [{ system: 'urn:mrn', value: texts.mrn }],
    name: [{ family: texts.family, given: [texts.given] }],
    birthDate: texts.dob,
    address: [{ text: texts.address }],
    principal: { keyId: texts.principal },
  }
  const bundle = {
    resourceType: 'Bundle',
    type: 'searchset',
    entry: [
      { resource: patient },
      {
        resource: {
          resourceType: 'Observation',
          subject: { reference: `Patient/${texts.pathId}` },
          note: texts.bodyText,
        },
      },
      { resource: { resourceType: texts.resourceType, id: texts.mrn } },
    ],
  }
  const read = (guards) => guards.requireScope('read:patients')
  const route = (path, guard, handle, method = 'get') => ({ method, path, guard, handle })
  const shows = (body) => () => ({ body })
  const annotated = (patientOf) => (guards) =>
    guards.requireScope('read:patients', { phi: { type: 'Patient', patient: patientOf } })
  return [
    route('/v1/patients/:id', read, shows(patient)),
    route('/v1/patients/:id', (guards) => guards.requireScope('write:patients'), shows(patient), 'post'),
    route('/v1/observations', (guards) => guards.requireScope('read:observations'), shows(bundle)),
    route('/v1/failing/:id', read, fails(`${texts.handlerError} ${keys.good}`)),
    route('/v1/touching/:id', read, touching({ keys, texts, note, patient })),
    route('/v1/tampering/:id', read, tampering({ keys, texts, note })),
    route('/v1/annotated/:id', annotated(fails(texts.patientError)), shows(patient)),
    route(
      '/v1/charts/:id',
      annotated(({ query }) => query.mrn),
      shows(patient),
    ),
    route(
      '/v1/optional/:id',
      (guards) => guards.authenticate({ optional: true }),
      shows({ resourceType: texts.resourceType }),
    ),
    route('/orgs/:id/x', (guards) => guards.requireOrganization(fails(texts.organizationError)), shows(patient)),
  ]
}

function touching({ keys, texts, note, patient }) {
  return ({ audit }) => {
    audit.touch(`Patient/${texts.touched}`)
    for (const wrong of [
      () => audit.touch(`${texts.given}!`),
      () => audit.touch(keys.good),
      () => audit.purpose(texts.mrn),
      () => audit.count(texts.mrn),
    ])
      caught(wrong, note)
    return { body: patient }
  }
}

function tampering({ keys, texts, note }) {
  return ({ host }) => {
    const principal = { kind: 'api-key', keyId: texts.principal, subject: keys.good, organizationId: texts.principal }
    for (const name of ['principal', 'audit', 'auth', 'user', 'body'])
      caught(() => Object.assign(host, { [name]: principal }), note)
    return { status: 404, body: { error: texts.handlerError, principal } }
  }
}

/** What is thrown at a handler is one more way out. */
function caught(work, note) {
  try {
    work()
  } catch (error) {
    note('thrown', inspect(error, { depth: 10, showHidden: true }))
  }
}
