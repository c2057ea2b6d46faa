import type { Auth } from '@healthcloud/auth'
import { expressGuards } from '@healthcloud/auth/express'
import express, { type Express } from 'express'
import { notFound, recordsOf, searchset } from './records.ts'

/** A partner backend on Express 4 or 5. The body parser stands behind the guard: a refused body is never parsed. */
export function buildApp(auth: Auth): Express {
  const { requireScope, requireOrganization, publicRoute, catchAll } = expressGuards(auth)
  const app = express()

  app.get('/health', publicRoute('liveness probe of the load balancer'), (_request, response) => {
    response.json({ status: 'up' })
  })

  app.get('/v1/patients', requireScope('read:patients'), (request, response) => {
    const patients = recordsOf(request.principal.organizationId).patients()
    for (const { id } of patients) request.audit.touch(`Patient/${id}`)
    request.audit.count(patients.length)
    response.json(searchset(patients))
  })

  app.get('/v1/patients/:id', requireScope('read:patients'), (request, response) => {
    const patient = recordsOf(request.principal.organizationId).patient(request.params.id)
    response.status(patient === undefined ? 404 : 200).json(patient ?? notFound())
  })

  app.post('/v1/patients', requireScope('write:patients'), express.json(), (request, response) => {
    const patient = recordsOf(request.principal.organizationId).addPatient(request.body)
    request.audit.touch(`Patient/${patient.id}`)
    response.status(201).json(patient)
  })

  app.get(
    '/fhir/Patient/:id/Observation',
    requireScope(['read:patients', 'read:observations']),
    (request, response) => {
      const observations = recordsOf(request.principal.organizationId).observationsOf(request.params.id)
      request.audit.count(observations.length)
      response.json(searchset(observations))
    },
  )

  app.get(
    '/v1/organizations/:organization/settings',
    requireScope('admin:org', { phi: false }),
    requireOrganization(({ params }) => params['organization']),
    (request, response) => {
      response.json({ organization: request.principal.organizationId, timezone: 'UTC' })
    },
  )

  app.use(catchAll())
  return app
}
