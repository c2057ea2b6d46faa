import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Auth } from '@healthcloud/auth'
import { buildApp as buildExpress } from '../express.ts'
import { buildApp as buildFastify } from '../fastify.ts'
import { buildApp as buildKoa } from '../koa.ts'
import { listen, type Certificate } from './https.ts'

export type Framework = 'Express' | 'Koa' | 'Fastify'

export interface DemoServer {
  readonly framework: Framework
  readonly port: number
  readonly auth: Auth
  /** The journal is ended, and the receiver has it. */
  close(): Promise<void>
}

export type DemoServers = readonly [express: DemoServer, koa: DemoServer, fastify: DemoServer]

/** The three example backends over TLS on loopback, each behind an auth of its own. */
export async function startServers(tls: Certificate, createAuth: (framework: Framework) => Auth): Promise<DemoServers> {
  const serve = async (framework: Framework): Promise<DemoServer> => {
    const auth = createAuth(framework)
    await auth.ready()
    const server = await listen(tls, await LISTENERS[framework](auth))
    return { framework, auth, port: server.port, close: () => server.close(auth) }
  }
  return Promise.all([serve('Express'), serve('Koa'), serve('Fastify')])
}

const LISTENERS: Readonly<Record<Framework, (auth: Auth) => RequestListener | Promise<RequestListener>>> = {
  Express: buildExpress,
  Koa: (auth) => buildKoa(auth).callback(),
  Fastify: async (auth) => {
    const app = await buildFastify(auth)
    await app.ready()
    return (request: IncomingMessage, response: ServerResponse) => app.routing(request, response)
  },
}
