// Clients whose engine does what it is told and whose answer is lost: it is told as an error, or never. `lose` is asked for
// each answer: `null`, `throw` or `hang`.

/** A pool that commits what was inserted, and whose answer to that is lost. */
export function losingPool(pool, lose) {
  const connect = async () => {
    const client = await pool.connect()
    let inserted = false
    return {
      query: async (text, values) => {
        const result = await client.query(text, values)
        inserted ||= text.includes('INSERT INTO')
        return text === 'COMMIT' && inserted ? told(result, lose()) : result
      },
      release: (broken) => client.release(broken),
      on: (event, listener) => client.on(event, listener),
      removeListener: (event, listener) => client.removeListener(event, listener),
    }
  }
  return { connect }
}

/** A client of JetStream whose acknowledgements are lost after the fact. */
export function losingJetStream(client, lose) {
  return {
    publish: async (subject, payload, options) => {
      const ack = await client.publish(subject, payload, options)
      return ack.duplicate ? ack : told(ack, lose())
    },
    jetstreamManager: (check) => client.jetstreamManager(check),
  }
}

function told(answer, how) {
  if (how === null) return answer
  if (how === 'throw') throw Object.assign(new Error('connection lost'), { code: 'ECONNRESET' })
  return new Promise(() => undefined)
}

/**
 * As the forwarder does: the same batch until it is taken, after a pause, by the same sink or by a new one as after a crash.
 * Resolves to the number of attempts.
 */
export async function deliver(batch, { open, crashes, pauseMs }) {
  let sink = open()
  for (let attempt = 1; ; attempt += 1) {
    try {
      const result = await sink.write(batch, new AbortController().signal)
      if ((result?.rejected ?? []).length > 0) throw new TypeError(`rejected: ${JSON.stringify(result.rejected)}`)
      return attempt
    } catch (error) {
      if (error instanceof TypeError || attempt === 50) throw error
      await new Promise((resolve) => void setTimeout(resolve, pauseMs))
      if (crashes()) sink = open()
    }
  }
}

/** Loses exactly `count` answers, by turns as an error and as silence; each call of `lose` decides by `draw`. */
export function losses(count, draw) {
  let lost = 0
  return {
    lose: () => {
      if (lost === count || !draw()) return null
      lost += 1
      return lost % 2 === 0 ? 'hang' : 'throw'
    },
    lost: () => lost,
  }
}
