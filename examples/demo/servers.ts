import https from 'node:https'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Auth } from '@healthcloud/auth'
import { generate } from 'selfsigned'
import { buildApp as buildExpress } from '../express.ts'
import { buildApp as buildFastify } from '../fastify.ts'
import { buildApp as buildKoa } from '../koa.ts'

export type Framework = 'Express' | 'Koa' | 'Fastify'

export interface DemoServer {
  readonly framework: Framework
  readonly port: number
  readonly auth: Auth
  close(): Promise<void>
}

export type DemoServers = readonly [express: DemoServer, koa: DemoServer, fastify: DemoServer]

/** The three example backends over TLS on loopback, each behind an auth of its own. */
export async function startServers(
  createAuth: (framework: Framework) => Auth,
): Promise<{ servers: DemoServers; ca: string }> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  })
  const serve = async (framework: Framework): Promise<DemoServer> => {
    const auth = createAuth(framework)
    await auth.ready()
    const server = https.createServer({ key, cert, keepAlive: true }, await LISTENERS[framework](auth))
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    return { framework, auth, port: (server.address() as AddressInfo).port, close: () => stop(server, auth) }
  }
  return { servers: await Promise.all([serve('Express'), serve('Koa'), serve('Fastify')]), ca: cert }
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

async function stop(server: https.Server, auth: Auth): Promise<void> {
  await new Promise<void>((resolve) => {
    server.closeAllConnections()
    server.close(() => resolve())
  })
  await auth.close()
}
