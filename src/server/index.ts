export { authOfHandler, type ServerCaller, type ServerHandler } from './handler.ts'
export { introspectionEndpoint } from './introspection-endpoint.ts'
export { jwksEndpoint } from './jwks-endpoint.ts'
export { tokenEndpoint } from './token-endpoint.ts'
