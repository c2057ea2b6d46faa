/** One question under way: told of every change that happens meanwhile, so that an old answer is never taken for the new one. */
export interface Flight {
  /** Which run of the feed it began in. */
  readonly epoch: number
  /** Whether this key (with `null`: any) changed since the question was put. */
  overtaken(keyId: string | null): boolean
  /** Whether the feed was lost or came up since: changes may have passed unheard. */
  feedChanged(): boolean
  land(): void
}

/** All questions under way. */
export interface Flights {
  begin(epoch: number): Flight
  /** `null`: whatever is under way. */
  overtake(keyId: string | null): void
  overtakeMisses(): void
}

export function createFlights(): Flights {
  const flying = new Set<{ readonly ids: Set<string>; all: boolean; misses: boolean }>()
  return {
    begin: (epoch) => {
      const flight = { ids: new Set<string>(), all: false, misses: false }
      flying.add(flight)
      return {
        epoch,
        overtaken: (keyId) => flight.all || (keyId === null ? flight.misses : flight.ids.has(keyId)),
        feedChanged: () => flight.all,
        land: () => void flying.delete(flight),
      }
    },
    overtake: (keyId) => {
      for (const flight of flying) {
        if (keyId === null) flight.all = true
        else flight.ids.add(keyId)
        flight.misses = true
      }
    },
    overtakeMisses: () => {
      for (const flight of flying) flight.misses = true
    },
  }
}
