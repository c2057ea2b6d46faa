import { own, parseObject } from './json-object.ts'

/** RFC 7519 section 4.1.6 `iat` of a token that was verified before, epoch seconds. */
export function issuedAtOf(verified: string): number | undefined {
  const payload = parseObject(Buffer.from(verified.split('.')[1] ?? '', 'base64url').toString('utf8'))
  const issuedAt = payload === null ? undefined : own(payload, 'iat')
  return typeof issuedAt === 'number' ? issuedAt : undefined
}
