// Calls over real sockets that are kept alive.
import http from 'node:http'

export function createCaller() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })
  const call = (port, key) =>
    new Promise((resolve) => {
      const start = performance.now()
      const sentAt = Date.now()
      const done = (status) => resolve({ status, sentAt, answeredAt: Date.now(), ms: performance.now() - start })
      const request = http.get(
        { host: '127.0.0.1', port, path: '/v1/patients/123', agent, headers: { authorization: `Bearer ${key}` } },
        (response) => {
          response.resume()
          response.once('end', () => done(response.statusCode))
        },
      )
      request.once('error', (error) => done(error.code ?? 'error'))
    })
  return { call, close: () => agent.destroy() }
}
