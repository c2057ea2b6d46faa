import { createAuth, memoryKeyStore, type Auth } from '@healthcloud/auth'
import { expressGuards, type ExpressGuards } from '@healthcloud/auth/express'
import { fastifyGuards, type FastifyGuards } from '@healthcloud/auth/fastify'
import { koaGuards, type KoaGuards } from '@healthcloud/auth/koa'

export const auth: Auth = createAuth({ environment: 'test', keys: { store: memoryKeyStore() } })
export const guards: ExpressGuards = expressGuards(auth)
export const koa: KoaGuards = koaGuards(auth)
export const fastify: FastifyGuards = fastifyGuards(auth)
