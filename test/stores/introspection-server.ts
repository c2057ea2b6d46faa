import { randomBytes } from 'node:crypto'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'

/** What the endpoint says about a key: the members of an active answer, beside `active` itself. */
export type Description = Readonly<Record<string, unknown>>

/** Answers in place of the endpoint; `body` is what was sent. */
export type Misbehaviour = (response: ServerResponse, request: IncomingMessage, body: string) => void

export interface Asked {
  readonly method: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** RFC 7662 on loopback, behind a credential. Written from the RFC alone. */
export interface IntrospectionServer {
  readonly url: URL
  readonly clientCredential: string
  describe(key: string, description: Description): void
  forget(key: string): void
  /** `null`: the endpoint as it should be. */
  become(misbehaviour: Misbehaviour | null): void
  /** Every request that arrived, to any path. */
  readonly asked: readonly Asked[]
  /** Connections so far. */
  connections(): number
  close(): Promise<void>
}

export async function startIntrospectionServer(tls?: { key: string; cert: string }): Promise<IntrospectionServer> {
  const clientCredential = `hc_live_sk_${randomBytes(32).toString('hex').slice(0, 16)}`
  const known = new Map<string, Description>()
  const asked: Asked[] = []
  let misbehaviour: Misbehaviour | null = null
  let connections = 0

  const listener = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await bodyOf(request)
    asked.push({ method: request.method ?? '', headers: request.headers, body })
    if (misbehaviour === null) introspection({ known, clientCredential }, { request, response, body })
    else misbehaviour(response, request, body)
  }
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    // A caller who leaves in the middle of his body is nobody's failure.
    listener(request, response).catch(() => response.destroy())
  }
  const server = tls === undefined ? http.createServer(handle) : https.createServer(tls, handle)
  server.on('connection', () => void (connections += 1))
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: new URL(`${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/v1/auth/introspect`),
    clientCredential,
    describe: (key, description) => void known.set(key, description),
    forget: (key) => void known.delete(key),
    become: (next) => {
      misbehaviour = next
    },
    asked,
    connections: () => connections,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

interface Held {
  readonly known: ReadonlyMap<string, Description>
  readonly clientCredential: string
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: string
}

function introspection({ known, clientCredential }: Held, { request, response, body }: Exchange): void {
  const { headers, method } = request
  const refuse = (status: number, error: string) => response.writeHead(status, JSON_TYPE).end(JSON.stringify({ error }))
  if (headers.authorization !== `Bearer ${clientCredential}`) return void refuse(401, 'invalid_client')
  // Section 2.1: POST, form encoded, `token` once; an unknown hint is no reason to refuse.
  const tokens = new URLSearchParams(body).getAll('token')
  const [token] = tokens
  const isForm = headers['content-type'] === 'application/x-www-form-urlencoded'
  if (method !== 'POST' || !isForm || tokens.length !== 1 || token === undefined) {
    return void refuse(400, 'invalid_request')
  }
  const description = known.get(token)
  answerWith(response, description === undefined ? { active: false } : { active: true, ...description })
}

const JSON_TYPE = { 'content-type': 'application/json;charset=UTF-8', 'cache-control': 'no-store' }

export function answerWith(response: ServerResponse, body: unknown): void {
  response.writeHead(200, JSON_TYPE).end(typeof body === 'string' ? body : JSON.stringify(body))
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body += String(chunk)
  return body
}
