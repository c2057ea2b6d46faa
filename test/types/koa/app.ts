import Router from '@koa/router'
import Koa from 'koa'
import type { Auth } from '@healthcloud/auth'
import { koaGuards, type KoaGuards } from '@healthcloud/auth/koa'

declare const auth: Auth
const guards: KoaGuards = koaGuards(auth)
const { requireScope, requireAnyScope, authenticate, requireOrganization, publicRoute, catchAll, principalOf } = guards
const app = new Koa()
const router = new Router()

router.get('/v1/patients/:id', requireScope('read:patients'), (ctx) => {
  const id: string | undefined = ctx.params['id']
  const organizationId: string = ctx.state.principal.organizationId
  ctx.state.audit.touch(`Patient/${id}`)
  ctx.body = { id, organizationId }
})
router.get('/b', requireAnyScope(['read:patients', 'admin:org']), (ctx) => void ctx.state.principal.kind)
router.get('/c', authenticate({ optional: true }), (ctx) => void principalOf(ctx)?.organizationId)
router.get(
  '/d/:org',
  requireOrganization(({ params }) => params['org']),
  (ctx) => void ctx.state.principal.kind,
)
router.get('/e', publicRoute('health check'), (ctx) => void (ctx.body = ''))
app.use(requireScope('read:patients'))
app.use(async (ctx, next) => {
  const organizationId: string = ctx.state.principal.organizationId
  ctx.body = organizationId
  await next()
})
app.use(router.routes()).use(catchAll())

interface MyState {
  tenant: string
}
const typed = new Router<MyState & Koa.DefaultState>()
typed.get('/f', requireScope('read:patients'), (ctx) => {
  ctx.body = ctx.state.tenant + ctx.state.principal.organizationId
})

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
