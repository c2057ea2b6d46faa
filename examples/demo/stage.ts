import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createAuth, type Auth } from '@healthcloud/auth'
import { createClient, type DemoAnswer, type DemoClient } from './client.ts'
import { createClock, type DemoClock } from './clock.ts'
import { createFetch } from './https.ts'
import { startIssuer, type DemoIssuer } from './issuer.ts'
import type { Printer } from './printer.ts'
import { startReceiver, type DemoReceiver } from './receiver.ts'
import { startServers, type DemoServers, type Framework } from './servers.ts'
import { AUDIENCE, createSettings, ISSUER, liveOptions, type DemoSettings } from './settings.ts'
import { openStores, type DemoStores } from './stores.ts'

/** What the scenes play with. */
export interface Stage {
  readonly print: Printer
  readonly servers: DemoServers
  readonly client: DemoClient
  readonly clock: DemoClock
  readonly issuer: DemoIssuer
  readonly receiver: DemoReceiver
  readonly stores: DemoStores
  readonly settings: DemoSettings
  /** Where the journal's signatures are examined. */
  readonly publicKey: string
  /** The demo's certificate, as a file. */
  readonly caFile: string
  /** What else is to be done at the end. */
  readonly closing: Closing
}

/** What to do at the end, last first. */
export type Closing = (() => unknown)[]

export const PATIENT = '/v1/patients/123'

export async function setStage(print: Printer, closing: Closing): Promise<Stage> {
  const directory = await mkdtemp(path.join(tmpdir(), 'hc-demo-'))
  closing.push(() => rm(directory, { recursive: true, force: true }))
  const { settings: own, publicKey } = await createSettings(directory)
  const stores = await openStores(own.keyFile)
  const caFile = path.join(directory, 'ca.pem')
  await writeFile(caFile, own.tls.cert)
  const receiver = await startReceiver(own.tls, path.join(directory, 'received.jsonl'))
  closing.push(receiver.kill)
  const settings = { ...own, receiver: receiver.url }
  const issuer = await startIssuer(settings)
  closing.push(issuer.kill)
  const clock = createClock()
  const servers = await startServers(own.tls, authMaker({ settings, stores, issuer, clock }))
  closing.push(() => closeServers(servers))
  const client = createClient(own.tls.cert)
  closing.push(client.close)
  return { print, servers, client, clock, issuer, receiver, stores, settings, publicKey, caFile, closing }
}

/** Three servers that share the file of keys, the issuer, the journal's directory and the clock, and nothing in memory. */
function authMaker({ settings, stores, issuer, clock }: Pick<Stage, 'settings' | 'stores' | 'issuer' | 'clock'>) {
  return (framework: Framework): Auth => {
    const { keys, ...options } = liveOptions(settings, framework)
    return createAuth({
      ...options,
      keys: { store: stores.guard(keys.store) },
      tokens: { issuer: ISSUER, audience: AUDIENCE, jwks: issuer.jwks, fetch: createFetch(settings.tls.cert) },
      clock,
    })
  }
}

export async function closeServers(servers: DemoServers): Promise<void> {
  await Promise.all(servers.map((server) => server.close()))
}

/** The same call to all three servers, at one time. */
export function everywhere(
  { servers, client }: Pick<Stage, 'servers' | 'client'>,
  url: string,
  credential?: string,
): Promise<DemoAnswer[]> {
  return Promise.all(servers.map(({ port }) => client.get(port, url, credential)))
}

export function statusesOf(answers: readonly DemoAnswer[]): number[] {
  return answers.map(({ status }) => status)
}

/** `--short`: for a test, which does not look at the figures. */
export function milliseconds(usual: number): number {
  return process.argv.includes('--short') ? usual / 5 : usual
}
