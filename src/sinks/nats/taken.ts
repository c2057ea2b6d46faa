import type { AuditLine, RejectedEvent } from '../../audit/sink.ts'
import type { StoredLine, StoredLines } from './stored.ts'

/** More than this a server could be set up to refuse for its size: such a line may be missing among its neighbours. */
const LARGE = 65_536

/**
 * Lines whose numbers are not above the last one that is stored: which of them are not there after all. Equal texts at the
 * last of them are enough: by its `prev` it stands for all that its writer wrote before it.
 */
export async function missingOf(
  lines: readonly AuditLine[],
  stored: StoredLines,
  last: StoredLine,
): Promise<RejectedEvent[]> {
  const top = lines.at(-1)
  if (top === undefined) return []
  const found = top.event.seq === last.seq ? last : await stored.from(top.event.seq, last, 1)
  const isSame = (await reasonOf(top, found, stored)) === null
  const doubtful = isSame ? lines.filter(({ text }) => text.length > LARGE) : lines
  const missing: RejectedEvent[] = []
  let low = 1
  for (const line of doubtful) {
    const here = await stored.from(line.event.seq, last, low)
    low = here.at
    const reason = await reasonOf(line, here, stored)
    if (reason !== null) missing.push({ id: line.event.id, reason })
  }
  return missing
}

/** `found`: what stands at the line's number or behind it. */
async function reasonOf({ event, text }: AuditLine, found: StoredLine, stored: StoredLines): Promise<string | null> {
  if (found.seq === event.seq) return found.text === text ? null : 'conflict'
  // What is older than all that is kept has been there: it went by the limits of the stream.
  const first = await stored.from(0, found, 1)
  return first.seq > event.seq ? null : 'missing'
}
