import {
  createHash,
  createPrivateKey,
  createPublicKey,
  sign,
  verify,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto'
import type { AuditCheckpoint, AuditRetention } from '../event.ts'

/** Signs checkpoints with the Ed25519 key of `audit.signingKey`. */
export interface CheckpointSigner {
  readonly keyId: string
  sign(text: string): AuditCheckpoint
}

/** @throws {TypeError} for any key but a private one of Ed25519. */
export function createCheckpointSigner(key: KeyObject): CheckpointSigner {
  if (key.type !== 'private' || key.asymmetricKeyType !== 'ed25519')
    throw new TypeError('Checkpoints are signed with a private key of Ed25519.')
  const keyId = keyIdOf(createPublicKey(key))
  return Object.freeze({
    keyId,
    sign: (text: string) =>
      Object.freeze({ keyId, signature: sign(null, Buffer.from(text), key).toString('base64url') }),
  })
}

/** A private key of Ed25519 from PEM, JWK, or the JSON text of a JWK; `null` for anything else. */
export function loadCheckpointKey(value: unknown): KeyObject | null {
  try {
    const jwk: unknown = typeof value === 'string' && value.trimStart().startsWith('{') ? JSON.parse(value) : value
    const key =
      typeof jwk === 'string'
        ? createPrivateKey(jwk.includes('\n') ? jwk : jwk.replaceAll('\\n', '\n'))
        : createPrivateKey({ key: { ...(jwk as JsonWebKey) }, format: 'jwk' })
    return key.asymmetricKeyType === 'ed25519' ? key : null
  } catch {
    return null
  }
}

/** `ed25519:` and the first 16 characters of base64url(SHA-256(SubjectPublicKeyInfo)). */
export function keyIdOf(publicKey: KeyObject): string {
  const digest = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64url')
  return `ed25519:${digest.slice(0, 16)}`
}

export function isSignedBy(text: string, { signature }: AuditCheckpoint, publicKey: KeyObject): boolean {
  return verify(null, Buffer.from(text), publicKey, Buffer.from(signature, 'base64url'))
}

/** What an `audit.checkpoint` event signs: with `prev` every line before it, with `seq` and `recorded` its own place. */
export function checkpointText(event: {
  readonly writer: string
  readonly seq: number
  readonly recorded: string
  readonly prev: string | null
}): string {
  return `hc-audit-checkpoint/1\n${event.writer}\n${event.seq}\n${event.recorded}\n${event.prev ?? ''}\n`
}

/** What an `audit.retention` event signs: which segments may be missing, and what the line after them must name. */
export function retentionText({ writer, segments, lastSeq, lastHash }: Omit<AuditRetention, 'signed'>): string {
  return `hc-audit-retention/1\n${writer}\n${segments[0]}-${segments[1]}\n${lastSeq}\n${lastHash}\n`
}
