// Process B of `prove-reach.mjs`: verifies keys that it is told to watch every few milliseconds, and says when each is
// refused.
import { createAuth } from '@healthcloud/auth'
import { machineMs } from './command.mjs'
import { openStore, withoutFeed } from './stores.mjs'

const { place, feed, cacheSeconds } = JSON.parse(process.env.PROVE)
const EVERY_MS = 5
const opened = await openStore(place)
const finds = { count: 0 }
const counting = Object.freeze({
  ...opened.store,
  find: (...args) => {
    finds.count += 1
    return opened.store.find(...args)
  },
})
const auth = createAuth({
  environment: 'test',
  keys: { store: feed ? counting : withoutFeed(counting), cacheSeconds },
  failures: { max: 1_000_000 },
  transport: { https: 'off' },
})
await auth.ready()

/** Key → id. */
const watched = new Map()
const context = { ip: '127.0.0.1', secure: null, operation: 'prove.reach' }

async function look(key, id) {
  const before = finds.count
  const verdict = await auth.verify(key, context)
  if (!watched.has(key) || verdict.ok) return
  watched.delete(key)
  const { status, reason } = verdict
  process.send({ refused: id, at: machineMs(), status, reason, asked: finds.count > before })
}

async function warm(keys) {
  const wrong = []
  for (const { key, id } of keys) {
    await auth.verify(key, context)
    const before = finds.count
    const verdict = await auth.verify(key, context)
    if (!verdict.ok || finds.count !== before) wrong.push(id)
  }
  process.send({ warmed: wrong })
}

let late = 0
let last = machineMs()
const timer = setInterval(() => {
  const now = machineMs()
  late = Math.max(late, now - last - EVERY_MS)
  last = now
  for (const [key, id] of watched) void look(key, id)
}, EVERY_MS)

process.on('message', (message) => {
  if (message.warm) void warm(message.warm)
  if (message.watch) watched.set(message.watch.key, message.watch.id)
  if (message.end) void end()
})

async function end() {
  clearInterval(timer)
  process.send({ watching: auth.health().keys.watching, late })
  await auth.close()
  await opened.close()
  process.disconnect()
}

process.send({ ready: true })
