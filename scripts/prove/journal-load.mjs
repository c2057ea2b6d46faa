// Steady calls over kept connections; knows which of them were answered.
import { Agent, request } from 'node:http'

/** Calls until `stop`, `width` at a time; each under a request id of its own. */
export function startLoad({ port, key, width, prefix }) {
  const agent = new Agent({ keepAlive: true, maxSockets: width })
  /** Request ids by how their call ended. */
  const ended = { answered: [], refused: [], broken: [] }
  let sent = 0
  const stopping = new AbortController()
  const worker = async () => {
    while (!stopping.signal.aborted) {
      sent += 1
      const requestId = `${prefix}-${sent}`
      const status = await call({ port, agent, key, requestId })
      if (status === null) ended.broken.push(requestId)
      else if (status >= 200 && status < 300) ended.answered.push(requestId)
      else ended.refused.push(requestId)
    }
  }
  const running = Promise.all(Array.from({ length: width }, worker))
  return {
    ended,
    stop: async () => {
      stopping.abort()
      await running
      agent.destroy()
    },
  }
}

/** The status once the whole answer has arrived; `null`: it never did. */
function call({ port, agent, key, requestId }) {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${key}`, 'x-request-id': requestId }
    const sent = request({ port, agent, host: '127.0.0.1', path: `/v1/patients/${requestId}`, headers }, (answer) => {
      answer.on('error', () => resolve(null))
      answer.on('close', () => resolve(answer.complete ? answer.statusCode : null))
      answer.resume()
    })
    sent.on('error', () => resolve(null))
    sent.end()
  })
}
