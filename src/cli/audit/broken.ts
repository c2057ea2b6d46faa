import { segmentPath, type Tail } from '../../audit/journal/lines.ts'
import { EXIT, type ExitCode } from '../command-error.ts'
import type { Shell } from '../shell.ts'

/** Where a line stands that is no line of a journal. */
export interface BrokenPlace {
  /** Relative to the directory. */
  readonly file: string
  /** In bytes. */
  readonly offset: number
  /** From 1; `null`: not counted. */
  readonly line: number | null
}

/** Lines that cannot be read. They are passed over, so that the rest can be; but nobody must believe to have seen all. */
export interface Broken {
  readonly count: number
  note(place: BrokenPlace): void
  /** Something stands at the end of a segment where only a writer's last one may be torn. */
  noteTail(segment: { readonly writer: string; readonly segment: number }, tail: Tail): void
  /** Tells of them. */
  verdict(shell: Shell): ExitCode
}

const MAX_SHOWN = 3
/** So many are told apart: a file of something else altogether must not fill the memory. */
const MAX_KNOWN = 10_000

export function createBroken(): Broken {
  const known = new Set<string>()
  const shown: string[] = []
  let more = 0
  const note = ({ file, offset, line }: BrokenPlace): void => {
    const place = `${file}@${offset}`
    if (known.has(place)) return
    if (known.size < MAX_KNOWN) known.add(place)
    else more += 1
    if (shown.length < MAX_SHOWN) shown.push(line === null ? `${file}, byte ${offset}` : `${file}:${line}`)
  }
  return Object.freeze<Broken>({
    get count() {
      return known.size + more
    },
    note,
    noteTail({ writer, segment }, { offset, length }) {
      if (length > 0) note({ file: segmentPath(writer, segment), offset, line: null })
    },
    verdict(shell) {
      const count = known.size + more
      if (count === 0) return EXIT.ok
      const places = count > shown.length ? [...shown, '…'] : shown
      shell.narrate(
        `hc-auth: ${count === 1 ? '1 line' : `${count} lines`} cannot be read, and ${count === 1 ? 'is' : 'are'} left out: ` +
          `${places.join(' ')}\nSee what is wrong with hc-auth audit verify.`,
      )
      return EXIT.failed
    },
  })
}
