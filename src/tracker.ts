/** Counts what is under way, so that `flush` and `close` know what they wait for. */
export interface Tracker {
  /** One exchange has begun. */
  opened(): Ticket
  /** Every exchange that is closed by now has been recorded. */
  settled(): Promise<void>
  /** No exchange is under way, or the deadline has passed. */
  idle(deadlineMs: number): Promise<void>
}

/** Of one exchange. */
export interface Ticket {
  /** It is over, and its event will be recorded later. Not needed where that is done at once. */
  closed(): void
  /** Its event is recorded. A second time it says nothing. */
  recorded(): void
}

export function createTracker(): Tracker {
  const book: Book = { open: 0, closing: new Map(), waiting: new Set() }
  return Object.freeze({
    opened() {
      book.open += 1
      return new OpenTicket(book)
    },
    async settled() {
      await Promise.all([...book.closing.values()].map(({ promise }) => promise))
    },
    async idle(deadlineMs: number) {
      if (book.open === 0) return
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer)
          book.waiting.delete(done)
          resolve()
        }
        const timer = setTimeout(done, deadlineMs)
        book.waiting.add(done)
      })
    },
  })
}

interface Book {
  open: number
  readonly closing: Map<Ticket, Closing>
  readonly waiting: Set<() => void>
}

interface Closing {
  readonly promise: Promise<void>
  readonly resolve: () => void
}

/** A class: closures would cost each call several times as much, and nearly none is waited for. */
class OpenTicket implements Ticket {
  readonly #book: Book
  #over = false

  constructor(book: Book) {
    this.#book = book
  }

  closed(): void {
    if (!this.#over) this.#book.closing.set(this, closing())
  }

  recorded(): void {
    if (this.#over) return
    this.#over = true
    const book = this.#book
    book.closing.get(this)?.resolve()
    book.closing.delete(this)
    book.open -= 1
    if (book.open === 0) for (const wake of book.waiting) wake()
  }
}

function closing(): Closing {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
