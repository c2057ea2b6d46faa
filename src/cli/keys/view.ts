import { statusAt, type KeyStatus } from '../../keys/record.ts'
import type { KeyRecord } from '../../keys/store.ts'
import { daysBetween } from '../read-values.ts'
import { printable, textTable } from '../text-table.ts'

/** A record as `--json` shows it: without its digest, which nobody needs to see, and with what it is good for now. */
export type KeyView = Omit<KeyRecord, 'digest'> & { readonly status: KeyStatus }

export function viewOf({ digest: _digest, ...record }: KeyRecord, now: number): KeyView {
  return { ...record, status: statusAt(record, now) }
}

/** One line a key. */
export function keyTable(records: readonly KeyRecord[], now: number): string {
  return textTable([
    { heading: 'ID', cells: records.map(({ id }) => id) },
    { heading: 'NAME', cells: records.map(({ name }) => name), flexible: true },
    { heading: 'ENV', cells: records.map(({ environment }) => environment) },
    { heading: 'STATUS', cells: records.map((record) => statusText(record, now)) },
    { heading: 'SCOPES', cells: records.map(({ scopes }) => String(scopes.length)) },
    { heading: 'LAST USED', cells: records.map(({ lastUsedAt }) => dayOf(lastUsedAt)) },
  ])
}

/** One line a key that is due, the oldest first. */
export function dueTable(records: readonly KeyRecord[], now: number): string {
  return textTable([
    { heading: 'ID', cells: records.map(({ id }) => id) },
    { heading: 'ORG', cells: records.map(({ organizationId }) => organizationId), flexible: true },
    { heading: 'NAME', cells: records.map(({ name }) => name), flexible: true },
    { heading: 'DAYS', cells: records.map(({ createdAt }) => String(daysBetween(createdAt, now))) },
    { heading: 'LAST USED', cells: records.map(({ lastUsedAt }) => dayOf(lastUsedAt)) },
  ])
}

export function nameOf({ name, organizationId, hint }: KeyRecord): string {
  return `${printable(name)} of ${printable(organizationId)} (${printable(hint)})`
}

/** A grace ends within 31 days: month and day say which. In UTC, as all that is printed. */
function statusText(record: KeyRecord, now: number): string {
  const status = statusAt(record, now)
  if (status === 'rotated_out') return 'rotated out'
  if (status !== 'grace' || record.validUntil === null) return status
  return `grace ${record.validUntil.toISOString().slice(5, 16).replace('T', ' ')}`
}

function dayOf(date: Date | null): string {
  return date === null ? 'never' : date.toISOString().slice(0, 10)
}
