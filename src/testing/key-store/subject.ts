import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { KeyRecord, KeyStore } from '../../keys/store.ts'

export const DAY = 86_400_000
/** With milliseconds, which a store must keep. */
export const NOW: number = Date.UTC(2026, 2, 18, 12, 0, 0, 123)

/** The store that a case looks at, and short ways to ask it. */
export interface Subject {
  readonly store: KeyStore
  find(...digests: string[]): Promise<KeyRecord | null>
  get(id: string): Promise<KeyRecord | null>
  list(query?: Parameters<KeyStore['list']>[0]): Promise<readonly KeyRecord[]>
  /** Resolves when every change so far must have been pushed. */
  settled(): Promise<void>
}

/** What the store does, and the check of it. */
export type StoreCase = readonly [title: string, check: (subject: Subject) => Promise<void>]

export function subjectOf(store: KeyStore, pushedWithinMs: number): Subject {
  const signal = AbortSignal.timeout(600_000)
  return {
    store,
    find: (...digests) => store.find({ digests, reveal: () => '' }, { signal }),
    get: (id) => store.get(id, { signal }),
    list: (query = {}) => store.list(query),
    settled: () =>
      new Promise((resolve) => {
        setTimeout(resolve, pushedWithinMs)
      }),
  }
}

export function recordOf(id: string, more: Partial<KeyRecord> = {}): KeyRecord {
  return {
    id,
    organizationId: 'org_1',
    environment: 'live',
    name: 'Ward 3 – Müller "Ä" \\ \u{1F3E5}',
    scopes: ['read:patients', 'exec:agents'],
    hint: 'hc_live_sk_…NpQr',
    digest: digestOf(id),
    allowedCidrs: ['10.0.0.0/8', '2001:db8::/32'],
    createdAt: new Date(NOW),
    createdBy: 'ops@example.org',
    expiresAt: new Date(NOW + 365 * DAY),
    rotatedAt: null,
    validUntil: null,
    replacedBy: null,
    revokedAt: null,
    revokedReason: null,
    lastUsedAt: null,
    ...more,
  }
}

export function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('base64url')}`
}

/** `old` with a rotation in it, as `replace` wants it. */
export function rotated(old: KeyRecord, replacedBy: string): KeyRecord {
  return { ...old, rotatedAt: new Date(NOW), validUntil: new Date(NOW + DAY), replacedBy }
}

/** Members alone count, not what the store's objects descend from. */
export function assertRecord(actual: KeyRecord | null, expected: KeyRecord): void {
  assert.deepEqual(actual === null ? null : { ...actual }, expected)
}

export function assertRecords(actual: readonly KeyRecord[], expected: readonly KeyRecord[]): void {
  assert.deepEqual(
    actual.map((each) => ({ ...each })),
    expected,
  )
}

/** Rejects with a `StoreConflict`; told by its name and code, for another copy of the class may have been loaded. */
export async function assertConflict(written: Promise<unknown>, message: RegExp = /./): Promise<void> {
  await assert.rejects(written, { name: 'StoreConflict', code: 'STORE_CONFLICT', message })
}

/** How many were fulfilled. */
export async function countFulfilled(attempts: readonly Promise<unknown>[]): Promise<number> {
  const results = await Promise.allSettled(attempts)
  return results.filter(({ status }) => status === 'fulfilled').length
}
