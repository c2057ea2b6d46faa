export const WIDTH = 80

/** One column: its heading, and a text for each row. `flexible`: it gives way where the line is full. */
export interface Column {
  readonly heading: string
  readonly cells: readonly string[]
  readonly flexible?: boolean
}

const GAP = '  '
/** A flexible column keeps at least this, also where the line gets too long: ids are never cut. */
const MIN_FLEXIBLE = 6

/** Lines of at most 80 columns, heading first. */
export function textTable(columns: readonly Column[]): string {
  const cleaned = columns.map(({ heading, cells, flexible }) => ({
    texts: [heading, ...cells.map(printable)],
    flexible: flexible === true,
  }))
  const widths = shrink(
    cleaned.map(({ texts, flexible: gives }) => ({ width: Math.max(...texts.map(columnsOf)), gives })),
  )
  const rows = cleaned[0]?.texts ?? []
  return rows
    .map((_, row) =>
      cleaned
        .map(({ texts }, index) => fit(texts[row] ?? '', widths[index] ?? 0))
        .join(GAP)
        .trimEnd(),
    )
    .join('\n')
}

/** Takes from the widest column that gives way, until the line fits or none can give any more. */
function shrink(columns: readonly { readonly width: number; readonly gives: boolean }[]): readonly number[] {
  const widths = columns.map(({ width }) => width)
  let over = widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length) - WIDTH
  for (; over > 0; over -= 1) {
    const giving = widths.map((width, index) => (columns[index]?.gives === true ? width : 0))
    const widest = Math.max(...giving)
    if (widest <= MIN_FLEXIBLE) break
    widths[giving.indexOf(widest)] = widest - 1
  }
  return widths
}

/** The text without what a terminal would obey, or read in another direction. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?')
}

function fit(text: string, width: number): string {
  if (columnsOf(text) <= width) return text + ' '.repeat(width - columnsOf(text))
  let shown = ''
  for (const letter of text) {
    if (columnsOf(shown + letter) > width - 1) break
    shown += letter
  }
  return `${shown}…${' '.repeat(Math.max(0, width - 1 - columnsOf(shown)))}`
}

/** East Asian wide characters and emoji take two columns, combining marks none. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u

export function columnsOf(text: string): number {
  let columns = 0
  for (const letter of text) {
    if (/\p{M}/u.test(letter)) continue
    columns += WIDE.test(letter) ? 2 : 1
  }
  return columns
}
