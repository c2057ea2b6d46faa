import type { Auth } from '@healthcloud/auth'
import { fastifyGuards } from '@healthcloud/auth/fastify'
import Fastify, { type FastifyInstance } from 'fastify'
import { notFound, recordsOf, searchset, type Patient } from './records.ts'

/** A partner backend on Fastify 5. The guards are `onRequest` hooks: a refused body is never parsed. */
export async function buildApp(auth: Auth): Promise<FastifyInstance> {
  const { plugin, requireScope, requireOrganization, publicRoute, catchAll } = fastifyGuards(auth)
  const app = Fastify()
  await app.register(plugin)

  app.get('/health', { onRequest: publicRoute('liveness probe of the load balancer') }, () => ({ status: 'up' }))

  app.get('/v1/patients', { onRequest: requireScope('read:patients') }, (request) => {
    const patients = recordsOf(request.principal.organizationId).patients()
    for (const { id } of patients) request.audit.touch(`Patient/${id}`)
    request.audit.count(patients.length)
    return searchset(patients)
  })

  app.get<{ Params: { id: string } }>(
    '/v1/patients/:id',
    { onRequest: requireScope('read:patients') },
    (request, reply) => {
      const patient = recordsOf(request.principal.organizationId).patient(request.params.id)
      return reply.code(patient === undefined ? 404 : 200).send(patient ?? notFound())
    },
  )

  app.post<{ Body: Partial<Patient> }>(
    '/v1/patients',
    { onRequest: requireScope('write:patients') },
    (request, reply) => {
      const patient = recordsOf(request.principal.organizationId).addPatient(request.body)
      request.audit.touch(`Patient/${patient.id}`)
      return reply.code(201).send(patient)
    },
  )

  app.get<{ Params: { id: string } }>(
    '/fhir/Patient/:id/Observation',
    { onRequest: requireScope(['read:patients', 'read:observations']) },
    (request) => {
      const observations = recordsOf(request.principal.organizationId).observationsOf(request.params.id)
      request.audit.count(observations.length)
      return searchset(observations)
    },
  )

  app.get(
    '/v1/organizations/:organization/settings',
    {
      onRequest: [
        requireScope('admin:org', { phi: false }),
        requireOrganization(({ params }) => params['organization']),
      ],
    },
    (request) => ({ organization: request.principal.organizationId, timezone: 'UTC' }),
  )

  app.setNotFoundHandler(catchAll())
  return app
}
