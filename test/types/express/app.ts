import express, { Router } from 'express'
import type { Auth } from '@healthcloud/auth'
import { expressGuards, type ExpressGuards, type Principal } from '@healthcloud/auth/express'

declare const auth: Auth
const guards: ExpressGuards = expressGuards(auth)
const { requireScope, requireAnyScope, authenticate, requireOrganization, publicRoute, catchAll, principalOf } = guards
const app = express()

app.get('/v1/patients/:id', requireScope('read:patients'), (req, res) => {
  const id: string = req.params.id
  // @ts-expect-error a parameter that the path does not have
  const other: string = req.params.other
  const organizationId: string = req.principal.organizationId
  req.audit.touch(`Patient/${id}`)
  res.json({ id, other, organizationId })
})
app.get('/a/:id', requireScope(['read:patients', 'read:observations'] as const), (req) => void req.params.id.length)
app.get('/b/:id', requireAnyScope(['read:patients', 'admin:org']), (req) => void req.params.id.length)
app.get('/c/:id', authenticate({ optional: true }), (req) => void principalOf(req)?.organizationId)
app.get(
  '/d/:org',
  requireOrganization(({ params }) => params['org']),
  (req) => void req.params.org.length,
)
app.get('/e', publicRoute('health check'), (_req, res) => void res.end())
app.get('/f', requireScope('read:patients', { phi: false }), (_req, res) => void res.end())
app.get(
  '/g/:pid',
  requireScope('read:patients', { phi: { type: 'Patient', patient: ({ params }) => params['pid'] } }),
  (_req, res) => void res.end(),
)
app.use('/h', requireScope('read:patients'), Router())
app.use(catchAll())
Router().post('/i/:id', requireScope('write:patients', undefined), (req) => void req.params.id.length)

// @ts-expect-error a typo
requireScope('read:patient')
// @ts-expect-error a typo in a list
requireScope(['read:patients', 'read:patient'])
// @ts-expect-error no scope
requireScope()
// @ts-expect-error an empty list
requireScope([])
// @ts-expect-error an empty list
requireAnyScope([])
// @ts-expect-error a misspelt option
authenticate({ optionnal: true })
// @ts-expect-error a reason is required
publicRoute()

app.get('/j', requireScope('read:patients'), (req) => {
  // @ts-expect-error the principal is not the handler's to set
  req.principal = null
})

export const caller: (request: express.Request) => Principal | null = principalOf
// @ts-expect-error no principal where there is no guard's pass
export const certain: (request: express.Request) => Principal = principalOf
