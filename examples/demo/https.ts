import https from 'node:https'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Auth } from '@healthcloud/auth'
import { generate } from 'selfsigned'

/** PEM. */
export interface Certificate {
  readonly key: string
  readonly cert: string
}

/** For 127.0.0.1, and known to nobody but the demo. */
export async function createCertificate(): Promise<Certificate> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  })
  return { key, cert }
}

export interface Listening {
  readonly port: number
  /** As docs/running.md has it: no new calls, open ones end, then what is left. */
  close(auth: Auth): Promise<void>
}

/** TLS on loopback; without `port` on a free one. */
export async function listen({ key, cert }: Certificate, listener: RequestListener, port = 0): Promise<Listening> {
  const server = https.createServer({ key, cert, keepAlive: true }, listener)
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: async (auth) => {
      server.close()
      await auth.close()
      server.closeAllConnections()
    },
  }
}

/** A `fetch` that trusts the demo's own certificate alone. Node's own learns of others only when the process starts. */
export function createFetch(ca: string): typeof fetch {
  const agent = new https.Agent({ keepAlive: true, ca })
  return async (input, init) => {
    const request = new Request(input, init)
    const { url, method, signal } = request
    const body = Buffer.from(await request.arrayBuffer())
    return new Promise((resolve, reject) => {
      const headers = { ...Object.fromEntries(request.headers), 'content-length': body.length }
      const sent = https.request(url, { method, headers, agent, signal }, (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const { statusCode: status = 0, headers: fields } = answer
          const type = { 'content-type': fields['content-type'] ?? '' }
          resolve(new Response(chunks.length === 0 ? null : Buffer.concat(chunks), { status, headers: type }))
        })
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }
}
