import { CommandError, EXIT } from './command-error.ts'

/** How long an engine may take for one answer: who waits at a terminal shall not wonder. */
export const PATIENCE_MS = 5000

/** Settles as `work` does, or after five seconds with exit code 4; `work` goes on, and how it ends is nobody's concern. */
export async function within<T>(work: Promise<T>, late: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new CommandError(EXIT.unreachable, late)), PATIENCE_MS)
  })
  try {
    return await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
  }
}
