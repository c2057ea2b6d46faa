import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ServerHandler } from '../../src/server/index.ts'

export interface WebServer {
  readonly url: string
  close(): Promise<void>
}

/** Serves one handler on loopback as if it came over TLS, with as little in between as can be. */
export async function serveHandler(handler: ServerHandler): Promise<WebServer> {
  const server = http.createServer((incoming, outgoing) => {
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of incoming) chunks.push(chunk as Buffer)
      const body = incoming.method === 'GET' || incoming.method === 'HEAD' ? null : Buffer.concat(chunks)
      const headers = Object.entries(incoming.headers).map(([name, value]): [string, string] => [name, String(value)])
      const request = new Request(`http://127.0.0.1${incoming.url ?? '/'}`, {
        method: incoming.method ?? 'GET',
        headers,
        body,
      })
      const response = await handler(request, { ip: incoming.socket.remoteAddress ?? null, secure: true })
      outgoing.writeHead(response.status, Object.fromEntries(response.headers))
      outgoing.end(await response.text())
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
