import https from 'node:https'
import type { IncomingMessage } from 'node:http'

export interface DemoAnswer {
  readonly status: number
  readonly code: string | null
  /** `HealthCloud-Key-Expires`: the key was rotated. */
  readonly expires: string | null
  readonly body: string
  readonly milliseconds: number
}

export interface DemoClient {
  /** Rejects where the connection breaks off before the whole answer is there. */
  get(port: number, path: string, credential?: string): Promise<DemoAnswer>
  /** Request ids of the calls whose whole answer has arrived. */
  readonly answered: ReadonlySet<string>
  close(): void
}

/** Keep-alive over TLS, trusting the demo's own certificate alone. */
export function createClient(ca: string): DemoClient {
  let calls = 0
  const answered = new Set<string>()
  const agent = new https.Agent({ keepAlive: true, ca })
  return {
    get: (port, path, credential) =>
      new Promise((resolve, reject) => {
        const started = performance.now()
        calls += 1
        const id = `demo-${calls}`
        const authorization = credential === undefined ? {} : { authorization: `Bearer ${credential}` }
        const headers = { 'x-request-id': id, ...authorization }
        https
          .get({ host: '127.0.0.1', port, path, agent, headers }, (response) => {
            bodyOf(response).then((body) => {
              answered.add(id)
              resolve(answerOf(response, body, started))
            }, reject)
          })
          .on('error', reject)
      }),
    answered,
    close: () => agent.destroy(),
  }
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

function answerOf({ statusCode = 0, headers }: IncomingMessage, body: string, started: number): DemoAnswer {
  const expires = headers['healthcloud-key-expires']
  return {
    status: statusCode,
    code: codeOf(body),
    expires: typeof expires === 'string' ? expires : null,
    body,
    milliseconds: performance.now() - started,
  }
}

function codeOf(body: string): string | null {
  const parsed: unknown = JSON.parse(body)
  const error: unknown = typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, 'error') : null
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : null
  return typeof code === 'string' ? code : null
}
