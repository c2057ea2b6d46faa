import { open } from 'node:fs/promises'
import { join } from 'node:path'

export interface DeadLetter {
  /** A code, such as `http_400`. */
  readonly reason: string
  /** The event's line. */
  readonly text: string
}

/** `<writer>/dead-<sink>.jsonl`: what a sink will never take, one JSON object a line; on the disk before it resolves. */
export async function keepDeadLetters(folder: string, sink: string, letters: readonly DeadLetter[]): Promise<void> {
  const file = await open(join(folder, `dead-${sink}.jsonl`), 'a', 0o600)
  try {
    await file.write(
      letters.map(({ reason, text }) => `{"reason":${JSON.stringify(reason)},"event":${text}}\n`).join(''),
    )
    await file.datasync()
  } finally {
    await file.close()
  }
}
