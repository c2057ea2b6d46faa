import { ownMember } from '../../lib/own-member.ts'

/**
 * `partialSuccess.rejectedLogRecords` of an `ExportLogsServiceResponse` in JSON: how many records were not taken; which, the
 * protocol does not tell. An empty answer has none. `null`: this is no such answer.
 */
export function rejectedRecords(text: string): number | null {
  if (text === '') return 0
  const answer = parsed(text)
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) return null
  // A 64-bit integer: a text in the JSON mapping of proto3, but numbers are read as well.
  const count = ownMember(ownMember(answer, 'partialSuccess'), 'rejectedLogRecords') ?? 0
  if (typeof count !== 'number' && (typeof count !== 'string' || !/^\d{1,19}$/.test(count))) return null
  const number = Number(count)
  return Number.isInteger(number) && number >= 0 ? number : null
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return null
  }
}
