import { segmentOf, type Segment } from './verify-journal.ts'

/** Changes of a journal of whole lines. Indexes are from 0, lines in findings from 1. */
export const deletion = (lines: readonly string[], at: number): string[] => lines.toSpliced(at, 1)

export const insertion = (lines: readonly string[], behind: number, line: string | Buffer = ''): (string | Buffer)[] =>
  (lines as readonly (string | Buffer)[]).toSpliced(behind + 1, 0, line)

export function swap(lines: readonly string[], one: number, other: number): string[] {
  return lines.with(one, lines[other] ?? '').with(other, lines[one] ?? '')
}

/** One byte of the file, newlines included, with some bits the other way round; and the line (from 1) that holds it. */
export function byteChange(
  lines: readonly string[],
  at: number,
  mask: number,
): { readonly segment: Segment; readonly line: number; readonly isLastNewline: boolean } {
  let index = 0
  let rest = at
  for (let size = sizeOf(lines[index]); rest >= size; size = sizeOf(lines[index])) {
    rest -= size
    index += 1
  }
  // Of its neighbours only the next one can be touched: by a newline that is none any more.
  const bytes = Buffer.from(`${lines[index] ?? ''}\n${index + 1 < lines.length ? `${lines[index + 1] ?? ''}\n` : ''}`)
  bytes[rest] = (bytes[rest] ?? 0) ^ mask
  const changed = segmentOf(bytes)
  const { lines: fresh, tail } = 'lines' in changed ? changed : { lines: changed, tail: '' }
  const segment = { lines: [...lines.slice(0, index), ...fresh, ...lines.slice(index + 2)], tail }
  return { segment, line: index + 1, isLastNewline: index === lines.length - 1 && rest === bytes.length - 1 }
}

const sizeOf = (line = ''): number => Buffer.byteLength(line) + 1
