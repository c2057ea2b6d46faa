// What a partner's own library exports must be nameable in its declaration files.
import { createAuth, memoryKeyStore } from '@healthcloud/auth'
import { expressGuards } from '@healthcloud/auth/express'
import { fastifyGuards } from '@healthcloud/auth/fastify'
import { koaGuards } from '@healthcloud/auth/koa'

export const auth = createAuth({ environment: 'test', keys: { store: memoryKeyStore() } })
export const { requireScope, requireAnyScope, authenticate, requireOrganization, publicRoute, catchAll, principalOf } =
  expressGuards(auth)
export const koa = koaGuards(auth)
export const { requireScope: requireScopeInKoa, principalOf: principalInKoa, catchAll: catchAllInKoa } = koaGuards(auth)
export const fastify = fastifyGuards(auth)
export const { plugin, requireScope: requireScopeInFastify, catchAll: catchAllInFastify } = fastifyGuards(auth)
export const readPatients = requireScope('read:patients')
export const verify = () => auth.verify('', { ip: null, secure: null, operation: 'test' })
export const ready = () => auth.ready()
export const health = () => auth.health()
export const keys = auth.keys
