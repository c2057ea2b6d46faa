import { styleText } from 'node:util'

export interface Printer {
  title(text: string): void
  row(cells: readonly string[]): void
  line(text: string): void
  /** One fact of a chapter, for `--json`. */
  fact(chapter: string, value: object): void
  end(): void
}

/** For people, or as one JSON object for a test to assert. */
export function createPrinter(json: boolean): Printer {
  const facts: Record<string, object[]> = {}
  const say = (text: string) => {
    if (!json) process.stdout.write(`${text}\n`)
  }
  return {
    title: (text) => say(`\n${styleText('bold', text)}`),
    row: ([first = '', ...rest]) =>
      say(
        `  ${first.padEnd(34)}${rest
          .map((cell) => `${cell.padEnd(19)} `)
          .join('')
          .trimEnd()}`,
      ),
    line: (text) => say(`  ${text}`),
    fact: (chapter, value) => {
      facts[chapter] = [...(facts[chapter] ?? []), value]
    },
    end: () => {
      if (json) process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`)
    },
  }
}
