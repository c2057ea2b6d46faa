// The process of `prove-rotation.mjs` that makes and rotates keys; it serves nobody.
import { createAuth } from '@healthcloud/auth'
import { openStore } from './stores.mjs'

const { place } = JSON.parse(process.env.PROVE)
const { store, close } = await openStore(place)
const auth = createAuth({ environment: 'test', keys: { store }, transport: { https: 'off' } })
await auth.ready()

const ACTIONS = {
  create: async ({ name }) => {
    const facts = { organizationId: 'org_1', environment: 'test', name, scopes: ['read:patients'], by: 'prove' }
    const { key, record } = await auth.keys.create(facts)
    return { key, id: record.id }
  },
  rotate: async ({ id, graceSeconds }) => {
    const { key, record } = await auth.keys.rotate(id, { by: 'prove', graceSeconds })
    const old = await auth.keys.get(id)
    return { key, id: record.id, validUntil: old.validUntil.getTime() }
  },
  end: async () => {
    await auth.close()
    await close()
    return {}
  },
}

async function answer({ number, action, ...request }) {
  try {
    process.send({ number, result: await ACTIONS[action](request) })
  } catch (error) {
    process.send({ number, error: `${error.name} ${error.code ?? ''}: ${error.message}` })
  }
}

process.on('message', (message) => {
  if (message.end) void ACTIONS.end().then(() => process.disconnect())
  else void answer(message)
})
process.send({ ready: true })
