// The other process of the reach part of `prove-tokens-life.mjs`: verifies tokens every few milliseconds, and says when each
// is refused.
import { createAuth } from '@healthcloud/auth'
import { machineMs } from './command.mjs'
import { openStore } from './stores.mjs'

const { place, tokens, cacheSeconds } = JSON.parse(process.env.PROVE)
const EVERY_MS = 5
const opened = await openStore(place)
const auth = createAuth({
  environment: 'test',
  keys: { store: opened.store, cacheSeconds },
  tokens,
  failures: { max: 1_000_000 },
  transport: { https: 'off' },
})
await auth.ready()
const context = { ip: '127.0.0.1', secure: null, operation: 'prove.tokens' }
/** Token → the number of the question. */
const watched = new Map()

async function look(token) {
  const number = watched.get(token)
  const verdict = await auth.verify(token, context)
  if (verdict.ok || !watched.delete(token)) return
  const { status, reason } = verdict
  process.send({ number, result: { at: machineMs(), status, reason } })
}

let late = 0
let last = machineMs()
const timer = setInterval(() => {
  const now = machineMs()
  late = Math.max(late, now - last - EVERY_MS)
  last = now
  for (const token of watched.keys()) void look(token)
}, EVERY_MS)

const ACTIONS = {
  /** Resolves to the number of tokens that are not taken, each twice: from then on they are cached. */
  warm: async ({ tokens: list }) => {
    let wrong = 0
    for (const token of [...list, ...list]) if (!(await auth.verify(token, context)).ok) wrong += 1
    return wrong
  },
  facts: async () => ({ late, watching: auth.health().keys.watching }),
}

process.on('message', ({ number, action, end: ended, ...request }) => {
  if (ended) return void end()
  if (action === 'watch') return void watched.set(request.token, number)
  void ACTIONS[action](request).then((result) => process.send({ number, result }))
})

async function end() {
  clearInterval(timer)
  await auth.close()
  await opened.close()
  process.disconnect()
}

process.send({ ready: true })
