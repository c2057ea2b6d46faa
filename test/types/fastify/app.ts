import Fastify from 'fastify'
import { pino } from 'pino'
import type { Auth } from '@healthcloud/auth'
import { fastifyGuards, type FastifyGuards } from '@healthcloud/auth/fastify'

declare const auth: Auth
const guards: FastifyGuards = fastifyGuards(auth)
const { plugin, requireScope, requireAnyScope, authenticate, requireOrganization, publicRoute, catchAll, principalOf } =
  guards
const app = Fastify()
await app.register(plugin)

app.get('/v1/patients/:id', { onRequest: requireScope('read:patients') }, async (request) => {
  const organizationId: string = request.principal.organizationId
  request.audit.touch('Patient/1')
  return { organizationId }
})
app.get<{ Params: { id: string } }>('/a/:id', { onRequest: requireScope('read:patients') }, async (request) => {
  const id: string = request.params.id
  // @ts-expect-error a parameter that the route does not have
  return [id, request.params.other]
})
app.get(
  '/b',
  { onRequest: [requireAnyScope(['read:patients', 'admin:org'])] },
  async (request) => request.principal.kind,
)
app.get('/c', { onRequest: authenticate({ optional: true }) }, async (request) => principalOf(request)?.organizationId)
app.get('/d/:org', { onRequest: requireOrganization(({ params }) => params['org']) }, async () => null)
app.get('/e', { onRequest: publicRoute('health check') }, async () => null)
app.setNotFoundHandler(catchAll())
app.addHook('onRequest', requireScope('read:patients'))

const logged = Fastify({ loggerInstance: pino(), https: {} })
await logged.register(plugin)
logged.get('/f', { onRequest: requireScope('read:patients') }, async (request) => request.principal.organizationId)

// @ts-expect-error a typo
requireScope('read:patient')
// @ts-expect-error no scope
requireScope()
// @ts-expect-error an empty list
requireScope([])
// @ts-expect-error an empty list
requireAnyScope([])
// @ts-expect-error a misspelt option
authenticate({ optionnal: true })

app.get('/g', { onRequest: requireScope('read:patients') }, async (request) => {
  // @ts-expect-error the principal is not the handler's to set
  request.principal = null
})
