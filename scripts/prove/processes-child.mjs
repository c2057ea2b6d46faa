// Child processes whose standard output and standard error end in a file, where they can be searched.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const PATIENCE_MS = 60_000

/** `settings` reach the child as JSON in `PROVE`; `output` is appended to. */
export function startHeard(file, settings, output) {
  const sink = openSync(output, 'a', 0o600)
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
    env: { ...process.env, PROVE: JSON.stringify(settings) },
    stdio: ['ignore', sink, sink, 'ipc'],
  })
  closeSync(sink)
  child.setMaxListeners(0)
  const gone = once(child, 'exit').then(([code, signal]) => ({ code, signal, atMs: performance.now() }))
  /** The next message that has this member. */
  const next = async (member) => {
    const end = new AbortController()
    const signal = AbortSignal.any([end.signal, AbortSignal.timeout(PATIENCE_MS)])
    const tooSoon = () =>
      new Error(`${file} ended before it said ${member}: ${readFileSync(output, 'utf8').slice(-1000)}`)
    void gone.then(() => end.abort(tooSoon()))
    for (;;) {
      const [message] = await once(child, 'message', { signal }).catch((error) => {
        throw error.cause ?? error
      })
      if (Object.hasOwn(message, member)) return message
    }
  }
  return {
    child,
    next,
    /** Resolves with how it ended, and when. */
    gone,
    /** Sends, and waits for the next message with this member. */
    ask: (message, member) => {
      const answer = next(member)
      child.send(message)
      return answer
    },
    kill: async (signal) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      return gone
    },
  }
}
