import { recordOfText, type KeyRecord } from '../../keys/store.ts'

/** Instants cross as texts of milliseconds: what a client makes of a date depends on how its user has set it up. */
export const COLUMNS: string = `record, ${millis('last_used_at')} AS last_used_at`

export function millis(column: string): string {
  return `round(extract(epoch FROM ${column}) * 1000)::bigint::text`
}

export function instant(parameter: string): string {
  return `to_timestamp(${parameter}::double precision / 1000)`
}

export function textOf(row: unknown, column: string): string | null {
  if (typeof row !== 'object' || row === null || !Object.hasOwn(row, column)) return null
  const value: unknown = Reflect.get(row, column)
  return typeof value === 'string' ? value : null
}

/** Whoever asked checks what it says; a row that is broken is no "unknown". */
export function recordOfRow(row: unknown): KeyRecord | null {
  if (row === undefined) return null
  const lastUsedAt = textOf(row, 'last_used_at')
  return {
    ...recordOfText(textOf(row, 'record') ?? ''),
    lastUsedAt: lastUsedAt === null ? null : new Date(Number(lastUsedAt)),
  }
}

/** Whether PostgreSQL can hold it: no zero character, and nothing that UTF-8 would turn into something else. */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && Buffer.from(text).toString() === text
}

export function storable(text: string): string {
  if (!isStorable(text)) throw new TypeError('an id holds a character that PostgreSQL cannot store.')
  return text
}
