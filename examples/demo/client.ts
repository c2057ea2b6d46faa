import https from 'node:https'

export interface DemoAnswer {
  readonly status: number
  readonly code: string | null
  /** `HealthCloud-Key-Expires`: the key was rotated. */
  readonly expires: string | null
  readonly body: string
  readonly milliseconds: number
}

export interface DemoClient {
  get(port: number, path: string, credential?: string): Promise<DemoAnswer>
  /** Answers received so far. */
  calls(): number
  close(): void
}

/** Keep-alive over TLS, trusting the demo's own certificate alone. */
export function createClient(ca: string): DemoClient {
  let calls = 0
  const agent = new https.Agent({ keepAlive: true, ca })
  return {
    get: (port, path, credential) =>
      new Promise((resolve, reject) => {
        const started = performance.now()
        const headers = credential === undefined ? {} : { authorization: `Bearer ${credential}` }
        https
          .get({ host: '127.0.0.1', port, path, agent, headers }, (response) => {
            const chunks: Buffer[] = []
            response.on('data', (chunk: Buffer) => chunks.push(chunk))
            response.on('end', () => {
              const body = Buffer.concat(chunks).toString('utf8')
              const milliseconds = performance.now() - started
              calls += 1
              const expires = response.headers['healthcloud-key-expires']
              resolve({
                status: response.statusCode ?? 0,
                code: codeOf(body),
                expires: typeof expires === 'string' ? expires : null,
                body,
                milliseconds,
              })
            })
          })
          .on('error', reject)
      }),
    calls: () => calls,
    close: () => agent.destroy(),
  }
}

function codeOf(body: string): string | null {
  const parsed: unknown = JSON.parse(body)
  const error: unknown = typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, 'error') : null
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : null
  return typeof code === 'string' ? code : null
}
