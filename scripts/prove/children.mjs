// Child processes that are asked over IPC.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const PATIENCE_MS = 60_000

/** `settings` reach the child as JSON in `PROVE`. */
export function startChild(file, settings) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
    env: { ...process.env, PROVE: JSON.stringify(settings) },
  })
  child.setMaxListeners(0)
  /** The next message that has this member. */
  const next = async (member) => {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    for (;;) {
      const [message] = await once(child, 'message', { signal })
      if (Object.hasOwn(message, member)) return message
    }
  }
  let number = 0
  const open = new Map()
  child.on('message', (message) => {
    open.get(message.number)?.(message)
    open.delete(message.number)
  })
  return {
    child,
    next,
    send: (message) => void child.send(message),
    /** Sends, and waits for the next message with this member. */
    ask: (message, member) => {
      const answer = next(member)
      child.send(message)
      return answer
    },
    /** A numbered request; several may be under way. */
    call: (message) =>
      new Promise((resolve, reject) => {
        number += 1
        open.set(number, ({ result, error }) => (error === undefined ? resolve(result) : reject(new Error(error))))
        child.send({ ...message, number })
      }),
    end: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      if (child.connected) child.send({ end: true })
      const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
      await gone
      clearTimeout(timer)
    },
  }
}
