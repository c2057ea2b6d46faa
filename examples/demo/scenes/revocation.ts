import { everywhere, PATIENT, statusesOf, type Stage } from '../stage.ts'
import { waitFor } from './wait-for.ts'

/** A key that all three have in their caches is revoked on one of them. */
export async function showRevocation(stage: Stage): Promise<void> {
  const { print, servers } = stage
  const [express] = servers
  print.title('A key revoked on Express: refused everywhere, from the caches too')
  const { key, record } = await express.auth.keys.create({
    organizationId: 'org_demo',
    environment: 'live',
    name: 'leaked',
    scopes: ['read:patients'],
    by: 'demo',
  })
  const before = statusesOf(await everywhere(stage, PATIENT, key))
  const since = performance.now()
  await express.auth.keys.revoke(record.id, { by: 'console:anna', reason: 'found in a public repository' })
  const refused = await Promise.all(
    servers.map(async (server) => {
      const { answer, milliseconds } = await waitFor(stage, { server, key, since }, ({ status }) => status !== 200)
      return { framework: server.framework, status: answer.status, code: answer.code, milliseconds }
    }),
  )
  const after = statusesOf(await everywhere(stage, PATIENT, key))
  print.row(['before', before.join(' ')])
  for (const { framework, status, milliseconds } of refused)
    print.row([`${framework} refuses it after`, `${milliseconds} ms`, String(status)])
  print.row(['from then on', after.join(' ')])
  print.fact('revocation', { on: express.framework, before, refused, after })
}
