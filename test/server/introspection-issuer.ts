import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { mount } from '../../adapters/express.ts'
import { createAuth, type Environment } from '../../src/index.ts'
import { introspectionEndpoint } from '../../src/server/index.ts'
import { sqliteKeyStore } from '../../src/stores/sqlite.ts'

/** What a process of this program is started with, as JSON. */
export interface IssuerSettings {
  /** Of the keys. */
  readonly file: string
  readonly directory: string
  readonly environment: Environment
  /** 0: one that is free. */
  readonly port: number
}

/** The program of a process of its own: an issuer that partners ask about keys. It is told over IPC whom to revoke. */
const { file, directory, environment, port } = JSON.parse(process.argv[2] ?? '') as IssuerSettings

const auth = createAuth({
  environment,
  keys: { store: sqliteKeyStore(file), cacheEntries: 1000 },
  transport: { https: 'off' },
  audit: { directory, pseudonymKeys: [{ id: 'k1', secret: Buffer.alloc(32, 7).toString('base64') }] },
})
await auth.ready()
const app = express()
app.post('/v1/auth/introspect', mount(introspectionEndpoint(auth)))
const server = createServer(app as unknown as RequestListener)
server.listen(port, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))

process.on('message', (keyId: string) => {
  void auth.keys.revoke(keyId, { by: 'ops', reason: 'leaked' }).then(() => process.send?.({ revoked: keyId }))
})
process.on('disconnect', () => process.exit())
