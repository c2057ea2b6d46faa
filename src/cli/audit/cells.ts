import { columnsOf, printable } from '../text-table.ts'

/** The text in exactly so many columns, cut with `…` where it has more. */
export function cell(text: string, width: number): string {
  const shown = cut(printable(text), width)
  return shown + ' '.repeat(width - columnsOf(shown))
}

/** As `cell`, at the right. What has more columns is not cut: a figure is whole or wrong. */
export function rightCell(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - columnsOf(text))) + text
}

export function cut(text: string, width: number): string {
  if (columnsOf(text) <= width) return text
  let shown = ''
  for (const letter of text) {
    if (columnsOf(shown + letter) > width - 1) break
    shown += letter
  }
  return `${shown}…`
}
