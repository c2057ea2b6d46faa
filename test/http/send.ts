import http from 'node:http'
import https from 'node:https'

export interface Sent {
  readonly method?: string
  readonly path: string
  /** In order, repeats kept: the only way to send two of one name. */
  readonly headers?: readonly (readonly [string, string])[]
  readonly body?: string
  /** Keeps its connections. Default: one request, one connection. */
  readonly agent?: http.Agent
}

export interface Answered {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** One request over a real socket. */
export function send(base: string, { method = 'GET', path, headers = [], body, agent }: Sent): Promise<Answered> {
  const url = new URL(base)
  const secure = url.protocol === 'https:'
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).request(
      {
        host: url.hostname,
        port: url.port,
        method,
        path,
        agent: agent ?? false,
        rejectUnauthorized: false,
        headers: [
          'Host',
          url.host,
          ...headers.flat(),
          ...(body === undefined ? [] : ['Content-Length', String(Buffer.byteLength(body))]),
        ] as unknown as http.OutgoingHttpHeaders,
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString('utf8'),
          })
        })
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}
