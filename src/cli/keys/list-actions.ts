import type { KeyRecord } from '../../keys/store.ts'
import type { Output } from './actions.ts'
import { dueTable, keyTable, viewOf } from './view.ts'
import { reading, told } from './work.ts'
import { withKeys, type OpenKeys } from './open-keys.ts'
import { readCount, readDays } from '../read-values.ts'
import type { Shell } from '../shell.ts'
import { printable } from '../text-table.ts'

export interface ListOptions extends Output {
  readonly org: string
  readonly after?: string
  readonly limit?: string
}

const PAGE = 1000

export async function listKeys(shell: Shell, options: ListOptions): Promise<void> {
  const limit = options.limit === undefined ? Number.POSITIVE_INFINITY : readCount('--limit', options.limit)
  await withKeys(shell, { intent: 'read' }, async (keys) => {
    const { records, next } = await pages(shell, keys, { organizationId: options.org, after: options.after, limit })
    const now = Date.now()
    if (options.json === true) {
      await shell.print(JSON.stringify({ keys: records.map((record) => viewOf(record, now)), next }))
      return
    }
    if (records.length > 0) await shell.print(keyTable(records, now))
    const more = next === null ? '' : ` There are more: --after ${next}`
    shell.narrate(`${counted(records.length)} of ${printable(options.org)}.${more}`)
  })
}

export interface DueOptions extends Output {
  readonly org?: string
  readonly days?: string
}

export async function listDue(shell: Shell, options: DueOptions): Promise<void> {
  const afterDays = options.days === undefined ? 90 : readDays('--days', options.days)
  const query = options.org === undefined ? { afterDays } : { afterDays, organizationId: options.org }
  await withKeys(shell, { intent: 'read' }, async (keys) => {
    const found = await shell.unlessInterrupted(told(keys, () => keys.admin.rotationDue(query)))
    const records = found.toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime())
    const now = Date.now()
    if (options.json === true) {
      await shell.print(JSON.stringify({ afterDays, keys: records.map((record) => viewOf(record, now)) }))
      return
    }
    if (records.length > 0) await shell.print(dueTable(records, now))
    const what = records.length === 1 ? 'is' : 'are'
    const how = records.length === 0 ? '' : ' Rotate with `hc-auth keys rotate <id>`.'
    shell.narrate(`${counted(records.length)} ${what} active and older than ${afterDays} days.${how}`)
  })
}

interface Pages {
  readonly records: readonly KeyRecord[]
  /** The last id, where there are more; `null`: there are none. */
  readonly next: string | null
}

interface PagesQuery {
  readonly organizationId: string
  readonly after: string | undefined
  readonly limit: number
}

/** One more than asked for shows whether there are more. */
async function pages(shell: Shell, keys: OpenKeys, query: PagesQuery): Promise<Pages> {
  const records: KeyRecord[] = []
  let after = query.after
  for (;;) {
    const limit = Math.min(PAGE, query.limit + 1 - records.length)
    const request = { organizationId: query.organizationId, after, limit }
    const page = await shell.unlessInterrupted(reading(keys, () => keys.admin.list(request)))
    records.push(...page)
    after = page.at(-1)?.id
    if (records.length > query.limit) {
      const shown = records.slice(0, query.limit)
      return { records: shown, next: shown.at(-1)?.id ?? null }
    }
    if (page.length < limit) return { records, next: null }
  }
}

function counted(count: number): string {
  return count === 1 ? '1 key' : `${count} keys`
}
