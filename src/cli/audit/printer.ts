import { createLines, terminalSafe } from './output.ts'
import { createRows, HEADING } from './rows.ts'
import type { Entry } from './segment.ts'
import type { Output } from '../keys/actions.ts'
import type { Shell } from '../shell.ts'

/** Events on their way to standard output: a table for people, or JSON, one event a line. */
export interface EventPrinter {
  readonly count: number
  print(entry: Entry): Promise<void> | void
  flush(): Promise<void>
}

export function createEventPrinter(shell: Shell, { json }: Output): EventPrinter {
  const lines = createLines(shell, shell.print)
  const rows = createRows()
  let count = 0
  return Object.freeze({
    get count() {
      return count
    },
    print({ event, text }: Entry) {
      count += 1
      if (json === true) return lines.add(terminalSafe(text))
      return lines.add(count === 1 ? `${HEADING}\n${rows(event)}` : rows(event))
    },
    flush: lines.flush,
  })
}
