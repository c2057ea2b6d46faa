import type { Shell } from '../shell.ts'

/** Lines on their way out, many at a time: one write for each would take longer than all the rest. */
export interface Lines {
  readonly count: number
  /** Resolves once there is room for more. */
  add(line: string): Promise<void> | void
  flush(): Promise<void>
}

const FULL = 65_536

/** `write` gets lines without the last newline. Ctrl-C ends it at the next full page. */
export function createLines(shell: Shell, write: (text: string) => Promise<void>): Lines {
  let waiting: string[] = []
  let size = 0
  let count = 0
  const flush = async (): Promise<void> => {
    shell.goOn()
    if (waiting.length === 0) return
    const text = waiting.join('\n')
    waiting = []
    size = 0
    await write(text)
  }
  return Object.freeze({
    get count() {
      return count
    },
    add(line: string) {
      waiting.push(line)
      size += line.length
      count += 1
      return size < FULL ? undefined : flush()
    },
    flush,
  })
}

/**
 * For a terminal: characters that it may obey, or that turn the direction of what follows, become escapes of JSON. The
 * document says the same; C0 cannot stand in one anyway.
 */
export function terminalSafe(json: string): string {
  return json.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, escaped)
}

/** A character outside of the first plane is two escapes. */
export function escaped(text: string): string {
  return Array.from({ length: text.length }, (_, at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`).join(
    '',
  )
}
