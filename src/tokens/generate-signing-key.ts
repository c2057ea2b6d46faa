import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import { discreet, withHidden } from '../lib/discreet.ts'
import { inheritingNothing } from '../lib/inheriting-nothing.ts'
import { isBadSigningKey, loadSigningKey } from './signing-keys.ts'

/** RFC 7517 section 4 and RFC 7518 section 6.3: private. */
export interface PrivateJwk {
  readonly kty: 'RSA'
  readonly kid: string
  readonly alg: 'RS256'
  readonly use: 'sig'
  readonly n: string
  readonly e: string
  readonly d: string
  readonly p: string
  readonly q: string
  readonly dp: string
  readonly dq: string
  readonly qi: string
}

/** One key in two forms. `console.log`, JSON and spreading of this object show `kid` and `bits` alone. */
export interface GeneratedSigningKey {
  /** RFC 7638: the thumbprint of the public key, the same for both forms. */
  readonly kid: string
  readonly bits: RsaBits
  readonly jwk: PrivateJwk
  /** PKCS #8, unencrypted, with a line end. */
  readonly pem: string
}

/** RFC 7518 section 3.3 asks for 2048. With 3072, for use after 2030, a signature costs several times as much. */
export type RsaBits = 2048 | 3072

/** A new private key for `issuing.signingKeys`. Takes up to seconds, in a thread of its own. */
export async function generateSigningKey(bits: RsaBits = 2048): Promise<GeneratedSigningKey> {
  const options = inheritingNothing({ modulusLength: bits, publicExponent: 65_537 })
  const { privateKey } = await promisify(generateKeyPair)('rsa', options)
  const pem = String(privateKey.export(inheritingNothing({ type: 'pkcs8' as const, format: 'pem' as const })))
  const members = privateKey.export(inheritingNothing({ format: 'jwk' as const }))
  // Read by what will read it: the name that it gives the key is the one that tokens will carry.
  const loaded = loadSigningKey(pem)
  if (isBadSigningKey(loaded)) throw new Error(`The generated key cannot sign: ${loaded.problem}`)
  const { kid } = loaded
  const jwk = Object.freeze({ kty: 'RSA', kid, alg: 'RS256', use: 'sig', ...withoutKty(members) } as PrivateJwk)
  return discreet(withHidden(withHidden({ kid, bits }, 'jwk', jwk), 'pem', pem), () => ({ kid, bits }))
}

function withoutKty({ n, e, d, p, q, dp, dq, qi }: Readonly<Record<string, unknown>>): object {
  return { n, e, d, p, q, dp, dq, qi }
}
