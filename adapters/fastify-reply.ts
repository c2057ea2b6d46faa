import type { ServerResponse } from 'node:http'

/** What the adapter uses of Fastify's reply, whatever its generics; `raw` is Node's response. */
export interface FastifyReplyLike {
  readonly raw: object
  header(name: string, value: string): unknown
  getHeaders(): Readonly<Record<string, number | string | string[] | undefined>>
  hijack(): unknown
}

/** Fastify keeps headers to itself until it answers; those that earlier hooks set (CORS) belong on our answer too. */
export function takeOver(reply: FastifyReplyLike): ServerResponse {
  reply.hijack()
  const response = reply.raw as ServerResponse
  if (response.headersSent) return response
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) response.setHeader(name, value)
  }
  return response
}
