import { generateKeyPairSync, randomBytes } from 'node:crypto'
import path from 'node:path'
import type { AuthOptions, NamedSecret } from '@healthcloud/auth'
import { httpSink } from '@healthcloud/auth/sinks/http'
import { sqliteKeyStore } from '@healthcloud/auth/stores/sqlite'
import { createCertificate, createFetch, type Certificate } from './https.ts'

/** What all processes of the demo share. Handed over as a message: it stands in no command line and no environment. */
export interface DemoSettings {
  readonly tls: Certificate
  /** The SQLite file of keys. */
  readonly keyFile: string
  /** The directory of the journal; each process writes in a folder of its own. */
  readonly journal: string
  readonly pseudonymKeys: readonly NamedSecret[]
  /** Signs the journal's checkpoints. */
  readonly signingKey: string
  /** URL of the log receiver. */
  readonly receiver: string
}

export const ISSUER = 'https://auth.partner.example'
export const AUDIENCE = 'https://partner.example'

/** `publicKey`: of `signingKey`, for who examines the journal. */
export async function createSettings(
  directory: string,
): Promise<{ settings: Omit<DemoSettings, 'receiver'>; publicKey: string }> {
  const { privateKey: signingKey, publicKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  return {
    settings: {
      tls: await createCertificate(),
      keyFile: path.join(directory, 'keys.db'),
      journal: path.join(directory, 'journal'),
      pseudonymKeys: [{ id: 'k1', secret: randomBytes(32).toString('base64') }],
      signingKey,
    },
    publicKey,
  }
}

/** A live server with the file of keys, the journal and the receiver. `instance` names it in its events. */
export function liveOptions(settings: DemoSettings, instance: string) {
  const { tls, keyFile, journal: directory, pseudonymKeys, signingKey, receiver } = settings
  return {
    environment: 'live',
    keys: { store: sqliteKeyStore(keyFile) },
    audit: {
      directory,
      pseudonymKeys,
      signingKey,
      sinks: [httpSink({ url: receiver, required: true, fetch: createFetch(tls.cert) })],
    },
    service: { name: 'demo', instance },
  } as const satisfies AuthOptions
}
