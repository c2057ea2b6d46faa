/** A list that somebody was sent: taken, but for those he names, or refused as a whole. */
export type Taking =
  | { readonly taken: true; readonly refused: readonly Refusal[] }
  | { readonly taken: false; readonly reason: string }

export interface Refusal {
  /** Index in the list. */
  readonly at: number
  readonly reason: string
}

export interface DivisionSettings<T> {
  /** Who is sent to, for errors: `The receiver of http`. */
  readonly what: string
  /** Tells one list from another by its first item. */
  keyOf(item: T): string
  /** Rejects where the same list should be sent again. */
  send(list: readonly T[], signal: AbortSignal): Promise<Taking>
}

/** Sends a list, not empty, until each item was taken or refused; gives the refusals. Rejects where it should come again. */
export type Division<T> = (items: readonly T[], signal: AbortSignal) => Promise<readonly Refusal[]>

/** Items that go in one message; `sent`: perhaps taken already, so that they must come again in this very company. */
interface Part {
  readonly size: number
  readonly sent: boolean
}

/** How far a list has come. All that is before `done` is settled; the last of `waiting` is the next. */
interface Progress {
  done: number
  taken: boolean
  readonly waiting: Part[]
  readonly refusals: Refusal[]
}

/** Lists that have begun and not ended: one for each writer whose turn has failed. */
const MAX_OPEN = 256

/**
 * Halves a list that is refused until the items that are to blame stand alone, in order. When a message fails, what was
 * settled before it stays settled, and the same list (it may have become longer) goes on there, in the same parts: a
 * receiver can tell a message that it has had.
 *
 * Who refuses one item after another and takes none may be out of order himself. That is believed once, where he has taken
 * something since: a receiver that is set up wrongly, or breaks, costs one list at most, and gets the rest when it is mended.
 */
export function createDivision<T>({ what, keyOf, send }: DivisionSettings<T>): Division<T> {
  const open = new Map<string, Progress>()
  let trusted = false

  const settle = (progress: Progress, size: number, taking: Taking): void => {
    progress.waiting.pop()
    if (!taking.taken && size > 1) {
      const half = size >> 1
      progress.waiting.push({ size: size - half, sent: false }, { size: half, sent: false })
      return
    }
    const refused = taking.taken ? taking.refused : [{ at: 0, reason: taking.reason }]
    for (const { at, reason } of refused) progress.refusals.push({ at: progress.done + at, reason })
    progress.done += size
    progress.taken ||= taking.taken
  }

  return async (items, signal) => {
    const [first] = items
    if (first === undefined) return []
    const key = keyOf(first)
    const progress = goOn(open.get(key), items.length)
    open.delete(key)
    open.set(key, progress)
    for (const [oldest] of open) if (open.size > MAX_OPEN) open.delete(oldest)
    for (let part = progress.waiting.at(-1); part !== undefined; part = progress.waiting.at(-1)) {
      const { size } = part
      progress.waiting.splice(-1, 1, { size, sent: true })
      settle(progress, size, await send(items.slice(progress.done, progress.done + size), signal))
    }
    open.delete(key)
    if (!progress.taken && !trusted) throw new Error(`${what} refuses everything: check its URL and its headers.`)
    trusted = progress.taken
    return progress.refusals
  }
}

function goOn(progress: Progress | undefined, length: number): Progress {
  const anew = { done: 0, taken: false, waiting: [{ size: length, sent: false }], refusals: [] }
  if (progress === undefined) return anew
  const more = length - progress.waiting.reduce((sum, { size }) => sum + size, progress.done)
  if (more < 0) return anew
  const [last] = progress.waiting
  if (more > 0 && last?.sent === false) progress.waiting.splice(0, 1, { size: last.size + more, sent: false })
  else if (more > 0) progress.waiting.unshift({ size: more, sent: false })
  return progress
}
