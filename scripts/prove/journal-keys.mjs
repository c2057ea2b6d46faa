import { createHash } from 'node:crypto'

/** The documented key, which every server of a proof takes. */
export const journalKey = 'hc_live_sk_AbC12xYz9kLmNpQr'

export const journalRecord = Object.freeze({
  id: 'key_1',
  organizationId: 'org_1',
  environment: 'live',
  name: 'proof',
  scopes: ['read:patients'],
  hint: 'hc_live_sk_…NpQr',
  digest: `sha256:${createHash('sha256').update(journalKey).digest('base64url')}`,
  allowedCidrs: [],
  createdAt: new Date('2026-01-01T00:00:00Z'),
  createdBy: 'prove',
  expiresAt: null,
  rotatedAt: null,
  validUntil: null,
  replacedBy: null,
  revokedAt: null,
  revokedReason: null,
  lastUsedAt: null,
})

/** The pseudonym key of the journals that are proved. */
export const journalKeys = Object.freeze({
  pseudonymKeys: Object.freeze([{ id: 'k1', secret: Buffer.alloc(32, 7).toString('base64') }]),
})
