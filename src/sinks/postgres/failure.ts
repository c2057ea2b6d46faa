import { ownMember } from '../../lib/own-member.ts'

const OURS = 'The PostgreSQL audit sink could not store events: '

/**
 * Classes of SQLSTATE whose message is about the server, the connection or the schema. Of any other, the code alone is told:
 * its message may quote a row.
 */
const ABOUT_THE_SERVER = /^(08|25|28|3D|3F|42|53|55|57|58)/
/** Data exception, and a value too large for an index: this one record, whatever is tried. */
const ABOUT_A_RECORD = /^(22...|54000)$/

/** Why the database will never take this record: `sqlstate_22007`; `null` where it should be tried again. */
export function permanentReason(error: unknown): string | null {
  const code = codeOf(error)
  return code !== null && ABOUT_A_RECORD.test(code) ? `sqlstate_${code.toLowerCase()}` : null
}

/** What the sink rejects with: it has the SQLSTATE, or the system's code, as `code`. */
export function sinkError(error: unknown): Error {
  const code = codeOf(error)
  const said = code === null || !isState(code) || ABOUT_THE_SERVER.test(code) ? messageOf(error) : `SQLSTATE ${code}.`
  return Object.assign(new Error(`${OURS}${said}`), code === null ? {} : { code })
}

function codeOf(error: unknown): string | null {
  const code = ownMember(error, 'code')
  return typeof code === 'string' ? code : null
}

function isState(code: string): boolean {
  return /^[0-9A-Z]{5}$/.test(code)
}

/** Node gives no message where it tried more than one address, but a code. */
function messageOf(error: unknown): string {
  const message = error instanceof Error && error.message !== '' ? error.message : (codeOf(error) ?? 'unknown error')
  return message.split('\n', 1)[0] ?? message
}
