import type { Call } from './exchange/exchange.ts'
import { parseQuery } from './request/query.ts'
import type { GuardRequest } from './requirement.ts'

/** The view that functions given to guards get, alike in all frameworks. */
export function guardRequest(call: Call): GuardRequest {
  return Object.freeze({
    params: call.place().params,
    query: parseQuery(call.url),
    headers: call.request.headers,
    method: call.request.method ?? '',
  })
}
