// Calls that stay open, all at once.
import { Agent, request } from 'node:http'

/** `list`: `{ id, ms }` each. Resolves with request ids by how their calls ended. */
export async function callAll({ port, key, list }) {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
  const ended = { answered: [], refused: [], broken: [] }
  await Promise.all(
    list.map(async ({ id, ms }) => {
      const status = await call({ port, agent, key, id, ms })
      if (status === null) ended.broken.push(id)
      else if (status >= 200 && status < 300) ended.answered.push(id)
      else ended.refused.push(id)
    }),
  )
  agent.destroy()
  return ended
}

/** `null`: no whole answer came. */
function call({ port, agent, key, id, ms }) {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${key}`, 'x-request-id': id }
    const sent = request(
      { port, agent, host: '127.0.0.1', path: `/v1/slow/${ms}/patients/${id}`, headers },
      (answer) => {
        answer.on('error', () => resolve(null))
        answer.on('close', () => resolve(answer.complete ? answer.statusCode : null))
        answer.resume()
      },
    )
    sent.on('error', () => resolve(null))
    sent.end()
  })
}
