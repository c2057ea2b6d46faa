import type { IncomingMessage } from 'node:http'
export interface ExpressRequestLike extends IncomingMessage { originalUrl?: string; route?: unknown }
export function recoverRoute(_request: ExpressRequestLike, _guard: unknown): { template: string; params: Record<string, string> } {
  return { template: '*', params: {} }
}
