import type { AuditLine } from '../../audit/sink.ts'
import type { Refusal } from '../../lib/division.ts'
import { ownMember } from '../../lib/own-member.ts'

/** Anything else could quote the event. */
const CODE = /^[a-z][a-z0-9_]{0,39}$/

/**
 * The events that the JSON answer of a success names as never to be taken: `{ "rejected": [{ "id", "reason" }] }`. Without
 * that member there are none; `null`: what it holds is no such list, or names an event that was not sent.
 */
export function rejectedIn(text: string, lines: readonly AuditLine[]): readonly Refusal[] | null {
  if (text === '') return []
  const answer = parsed(text)
  if (answer === undefined) return null
  const list = ownMember(answer, 'rejected') ?? []
  if (!Array.isArray(list)) return null
  const places = new Map(lines.map(({ event }, at) => [event.id, at] as const))
  const refusals = new Map<number, Refusal>()
  for (const each of list as readonly unknown[]) {
    const at = places.get(ownMember(each, 'id') as string)
    if (at === undefined) return null
    refusals.set(at, { at, reason: codeOf(ownMember(each, 'reason')) })
  }
  return [...refusals.values()]
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function codeOf(reason: unknown): string {
  return typeof reason === 'string' && CODE.test(reason) ? reason : 'rejected'
}
