import { ownMember } from '../../lib/own-member.ts'

/** "wrong last sequence", "wrong last msg ID": somebody else, or an earlier attempt, has stored something meanwhile. */
const UNEXPECTED: ReadonlySet<number> = new Set([10_070, 10_071, 10_164])
const TOO_LARGE = 10_054
const STREAM_NOT_FOUND = 10_059

export function isUnexpected(error: unknown): boolean {
  const code = codeOf(error)
  return code !== null && UNEXPECTED.has(code)
}

/** The stream, or before it the client by what the server takes at all, refuses this one message for its size. */
export function isTooLarge(error: unknown): boolean {
  return codeOf(error) === TOO_LARGE || /max_payload/.test(messageOf(error))
}

export function isStreamNotFound(error: unknown): boolean {
  return codeOf(error) === STREAM_NOT_FOUND
}

/** What the sink rejects with: the first line of what NATS said, which names subjects and ids, never a payload. */
export function sinkError(error: unknown): Error {
  const code = codeOf(error)
  const said = messageOf(error).split('\n', 1)[0] ?? ''
  return Object.assign(
    new Error(`The NATS audit sink could not store events: ${said}`),
    code === null ? {} : { code: String(code) },
  )
}

/** A getter of the client's own classes of errors: not an own member. */
function codeOf(error: unknown): number | null {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : ownMember(error, 'code')
  return typeof code === 'number' ? code : null
}

function messageOf(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : 'unknown error'
}
