import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { rsaKey, signToken } from '../fixtures/issuer-keys.ts'

/** Answers in place of the endpoint. */
export type Misbehaviour = (response: ServerResponse, request: IncomingMessage) => void

export interface AskedFor {
  readonly method: string
  readonly path: string
  readonly rawHeaders: readonly string[]
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** `POST /v1/auth/token` on loopback, written from the source document alone. It minds every byte of a request. */
export interface ExchangeIssuer {
  readonly url: URL
  /** From now on this key holds these scopes. */
  grant(key: string, scopes: readonly string[]): void
  revoke(key: string): void
  /** `null`: the endpoint as it should be. */
  become(misbehaviour: Misbehaviour | null): void
  /** Of the tokens from now on, in seconds. */
  lifetime(seconds: number): void
  /** Members of a good answer, with a new token, and these instead or beside. */
  answer(more?: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>
  /** Every request that arrived, to any path. */
  readonly asked: readonly AskedFor[]
  close(): Promise<void>
}

const KEY = rsaKey('issuer-1')
const JSON_TYPE = { 'content-type': 'application/json', 'cache-control': 'no-store' }
const BODY = /^\{"scope":\[("[a-z]+:[a-z]+"(?:,"[a-z]+:[a-z]+")*)\]\}$/

export async function startExchangeIssuer(): Promise<ExchangeIssuer> {
  const holds = new Map<string, readonly string[]>()
  const asked: AskedFor[] = []
  let misbehaviour: Misbehaviour | null = null
  let seconds = 3600
  let minted = 0

  const answer = (scopes: readonly string[], more: Readonly<Record<string, unknown>> = {}) => {
    const now = Math.floor(Date.now() / 1000)
    minted += 1
    return {
      access_token: signToken({ iat: now, exp: now + seconds, jti: `tok_${minted}` }, KEY),
      token_type: 'Bearer',
      expires_in: seconds,
      scope: scopes.join(' '),
      issued_at: new Date(now * 1000).toISOString().replace('.000Z', 'Z'),
      ...more,
    }
  }
  const exchange = ({ headers, method, path, body }: AskedFor, response: ServerResponse) => {
    const key = /^Bearer (hc_(?:live|test)_sk_[0-9A-Za-z]+)$/.exec(headers.authorization ?? '')?.[1] ?? ''
    const held = holds.get(key)
    const scopes = BODY.exec(body)?.[1]?.slice(1, -1).split('","')
    if (method !== 'POST' || path !== '/v1/auth/token') return refuse(response, 404, 'NOT_FOUND')
    if (held === undefined) return refuse(response, 401, 'UNAUTHORIZED')
    if (headers['content-type'] !== 'application/json' || scopes === undefined)
      return refuse(response, 400, 'INVALID_REQUEST')
    if (!scopes.every((scope) => held.includes(scope))) return refuse(response, 403, 'FORBIDDEN')
    response.writeHead(200, JSON_TYPE).end(JSON.stringify(answer(scopes)))
  }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url: path = '', rawHeaders, headers } = request
      const seen = { method, path, rawHeaders, headers, body: Buffer.concat(chunks).toString('utf8') }
      asked.push(seen)
      if (misbehaviour === null) exchange(seen, response)
      else misbehaviour(response, request)
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/auth/token`),
    grant: (key, scopes) => void holds.set(key, scopes),
    revoke: (key) => void holds.delete(key),
    become: (next) => {
      misbehaviour = next
    },
    lifetime: (next) => {
      seconds = next
    },
    answer: (more) => answer(['read:patients', 'exec:agents'], more),
    asked,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

/** The documented envelope. */
export function refuse(response: ServerResponse, status: number, code: string): void {
  const message = 'Invalid or expired API key.'
  const docsUrl = 'https://healthcloud.ai/docs/api/authentication'
  const error = { code, message, requestId: 'req_abc123xyz', docsUrl }
  response.writeHead(status, JSON_TYPE).end(JSON.stringify({ error }))
}
