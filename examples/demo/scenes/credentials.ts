import type { Stage } from '../stage.ts'
import type { Exchanged } from './exchange.ts'

export interface Keys {
  readonly reader: string
  readonly narrow: string
  /** Of an app's backend: it is exchanged for tokens. */
  readonly app: string
}

export type Credentials = Keys & Exchanged

/** Keys are made on Express; Koa, Fastify and the issuer find them in the file. */
export async function createKeys({ servers: [express], print }: Stage): Promise<Keys> {
  const base = { organizationId: 'org_demo', environment: 'live', by: 'demo' } as const
  const { keys } = express.auth
  const reader = await keys.create({ ...base, name: 'reader', scopes: ['read:patients', 'read:observations'] })
  const narrow = await keys.create({ ...base, name: 'agents only', scopes: ['exec:agents'] })
  const app = await keys.create({ ...base, name: 'app', scopes: ['read:patients', 'exec:agents'] })
  print.line(`A key, shown this once: ${reader.key.slice(0, 15)}… (from now on ${reader.record.hint})`)
  return { reader: reader.key, narrow: narrow.key, app: app.key }
}
