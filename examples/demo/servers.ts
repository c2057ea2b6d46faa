import https from 'node:https'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Auth } from '@healthcloud/auth'
import { generate } from 'selfsigned'
import { buildApp as buildExpress } from '../express.ts'
import { buildApp as buildFastify } from '../fastify.ts'
import { buildApp as buildKoa } from '../koa.ts'

export interface DemoServer {
  readonly framework: string
  readonly port: number
  close(): Promise<void>
}

/** The three example backends over TLS on loopback, all behind one auth. */
export async function startServers(auth: Auth): Promise<{ servers: readonly DemoServer[]; ca: string }> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  })
  const fastify = await buildFastify(auth)
  await fastify.ready()
  const listeners: readonly [string, RequestListener][] = [
    ['Express', buildExpress(auth)],
    ['Koa', buildKoa(auth).callback()],
    ['Fastify', (request: IncomingMessage, response: ServerResponse) => fastify.routing(request, response)],
  ]
  const servers = await Promise.all(listeners.map(([framework, listener]) => start(framework, listener, { key, cert })))
  return { servers, ca: cert }
}

async function start(
  framework: string,
  listener: RequestListener,
  tls: { key: string; cert: string },
): Promise<DemoServer> {
  const server = https.createServer({ ...tls, keepAlive: true }, listener)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    framework,
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
