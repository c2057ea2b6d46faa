import type { Answer } from '../decision.ts'

/** RFC 9110 section 15.5.6. */
export function wrongMethod(allow: string): Answer {
  return {
    status: 405,
    code: 'METHOD_NOT_ALLOWED',
    message: `This endpoint takes ${allow.replace(', ', ' and ')}.`,
    challenge: null,
    retryAfterSeconds: null,
  }
}
