import { setTimeout as delay } from 'node:timers/promises'
import { createAuth } from '@healthcloud/auth'
import { buildApp } from '../../fastify.ts'
import { settingsOfParent, tellParent } from '../children.ts'
import { listen } from '../https.ts'
import { liveOptions, type DemoSettings } from '../settings.ts'

/** One more server, to be killed. Its handlers wait for a database, which can be told to hang. */
const settings = await settingsOfParent<DemoSettings>()
const auth = createAuth(liveOptions(settings, 'Fastify-2'))
const app = await buildApp(auth)
let hangs = false
app.addHook('preHandler', async () => {
  await delay(10)
  if (!hangs) return
  tellParent({ hanging: true })
  await new Promise(() => undefined)
})

await Promise.all([auth.ready(), app.ready()])
const server = await listen(settings.tls, (request, response) => app.routing(request, response))
tellParent({ port: server.port })

process.on('message', (message: { readonly hang?: true }) => {
  if (message.hang === true) hangs = true
  else void close()
})

async function close(): Promise<void> {
  await server.close(auth)
  tellParent({ closed: true })
}
