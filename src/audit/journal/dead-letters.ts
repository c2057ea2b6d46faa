import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { inheritingNothing } from '../../lib/inheriting-nothing.ts'

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
    const text = letters.map(({ reason, text: event }) => `{"reason":${JSON.stringify(reason)},"event":${event}}\n`)
    // Not `write`: the system may take only a part of it.
    await file.writeFile(text.join(''), inheritingNothing({ encoding: 'utf8' as const }))
    await file.datasync()
  } finally {
    await file.close()
  }
}
