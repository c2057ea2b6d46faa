import type { KeyChange } from '../../keys/store.ts'

export type Notice = Exclude<KeyChange, string>

/** Names what was changed, nothing of what it is. */
export function payloadOf(notice: Notice): string {
  return JSON.stringify(notice)
}

/** `null`: it is none of ours. */
export function noticeOf(payload: string): Notice | null {
  try {
    const message: unknown = JSON.parse(payload)
    if (typeof message !== 'object' || message === null) return null
    const { keyId, tokenId } = Object.assign(Object.create(null) as Record<string, unknown>, message)
    if (typeof keyId === 'string') return { keyId }
    return typeof tokenId === 'string' ? { tokenId } : null
  } catch {
    return null
  }
}
