import type { Auth } from '@healthcloud/auth'
import { koaGuards } from '@healthcloud/auth/koa'
import Router from '@koa/router'
import Koa from 'koa'
import { notFound, recordsOf, searchset } from './records.ts'

/** A partner backend on Koa 2 or 3. */
export function buildApp(auth: Auth): Koa {
  const { requireScope, requireOrganization, publicRoute, catchAll } = koaGuards(auth)
  const app = new Koa()
  const router = new Router()

  router.get('/health', publicRoute('liveness probe of the load balancer'), (context) => {
    context.body = { status: 'up' }
  })

  router.get('/v1/patients', requireScope('read:patients'), (context) => {
    const { principal, audit } = context.state
    const patients = recordsOf(principal.organizationId).patients()
    for (const { id } of patients) audit.touch(`Patient/${id}`)
    audit.count(patients.length)
    context.body = searchset(patients)
  })

  router.get('/v1/patients/:id', requireScope('read:patients'), (context) => {
    const patient = recordsOf(context.state.principal.organizationId).patient(context.params['id'] ?? '')
    context.status = patient === undefined ? 404 : 200
    context.body = patient ?? notFound()
  })

  router.post('/v1/patients', requireScope('write:patients'), async (context) => {
    const { principal, audit } = context.state
    const patient = recordsOf(principal.organizationId).addPatient(await readJson(context.req))
    audit.touch(`Patient/${patient.id}`)
    context.status = 201
    context.body = patient
  })

  router.get('/fhir/Patient/:id/Observation', requireScope(['read:patients', 'read:observations']), (context) => {
    const observations = recordsOf(context.state.principal.organizationId).observationsOf(context.params['id'] ?? '')
    context.state.audit.count(observations.length)
    context.body = searchset(observations)
  })

  router.get(
    '/v1/organizations/:organization/settings',
    requireScope('admin:org', { phi: false }),
    requireOrganization(({ params }) => params['organization']),
    (context) => {
      context.body = { organization: context.state.principal.organizationId, timezone: 'UTC' }
    },
  )

  app.use(router.routes())
  app.use(router.allowedMethods())
  app.use(catchAll())
  return app
}

/** Koa brings no body parser. This one stands in the handler, behind the guard, and takes 64 KiB at most. */
async function readJson(request: AsyncIterable<Buffer>): Promise<object> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > 65_536) throw Object.assign(new Error('The body is too large.'), { status: 413, expose: true })
    chunks.push(chunk)
  }
  const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  return typeof body === 'object' && body !== null ? body : {}
}
