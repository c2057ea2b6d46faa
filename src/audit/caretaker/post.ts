import type { AuditSink } from '../sink.ts'
import { createCourier, type Courier, type CourierState } from './courier.ts'
import type { Orphan } from './orphans.ts'

/** All couriers of this process: of its own journal, and of those that it looks after. */
export interface Post {
  /** The own journal is open. */
  open(): void
  /** Carries what is left of another one to every sink, and then lets go of it. */
  carry(orphan: Orphan): Promise<void>
  /** The own journal has new lines. */
  wake(): void
  /** By name of the sink, over all journals; `events`: in the own one. */
  legs(events: number): Readonly<Record<string, readonly Leg[]>>
  /** Gives whether every sink has all of the own journal. */
  close(deadlineMs: number): Promise<boolean>
}

/** One courier's way, and how many events there are on it. */
export interface Leg {
  readonly state: CourierState
  readonly events: number
}

export interface PostSettings {
  readonly directory: string
  readonly writer: string
  /** Acknowledging sinks. */
  readonly sinks: readonly AuditSink[]
  /** So many events went to the dead-letter file of a sink. */
  readonly onDead: (sink: string, count: number) => void
}

export function createPost({ directory, writer, sinks, onDead }: PostSettings): Post {
  const own: Courier[] = []
  /** With how many events their journals hold. */
  const others = new Map<Courier, number>()
  let closed = false
  const couriers = (of: string): Courier[] =>
    sinks.map((sink) => createCourier({ directory, writer: of, sink, onDead: (count) => onDead(sink.name, count) }))

  return Object.freeze({
    open() {
      if (own.length === 0) own.push(...couriers(writer))
    },
    async carry(orphan: Orphan) {
      // Closed meanwhile: nobody would end what is begun now.
      if (closed) {
        orphan.owner.leave()
        return
      }
      const its = couriers(orphan.writer)
      for (const each of its) others.set(each, orphan.events)
      const taken = await Promise.all(its.map((each) => each.finish()))
      for (const each of its) others.delete(each)
      if (taken.every(Boolean)) orphan.owner.release()
      else orphan.owner.leave()
    },
    wake() {
      for (const courier of own) courier.wake()
    },
    legs: (events: number) =>
      Object.fromEntries(
        own.map(({ sink, state }) => {
          const further = [...others].filter(([courier]) => courier.sink === sink)
          return [
            sink,
            [{ state, events }, ...further.map(([courier, total]) => ({ state: courier.state, events: total }))],
          ]
        }),
      ),
    async close(deadlineMs: number) {
      closed = true
      const ends = [...own, ...others.keys()].map((each) => each.close(deadlineMs))
      return (await Promise.all(ends)).slice(0, own.length).every(Boolean)
    },
  })
}
