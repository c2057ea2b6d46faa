export interface PlacesSettings {
  /** Whole seconds until the group is within its budget again; 0: it is. */
  readonly secondsOver: (group: string) => number
  /** Whether one more fits beside those that are taken, should all of them fail. */
  readonly free: (group: string, taken: number) => boolean
  /** How long an attempt may wait for its place. */
  readonly patienceMs: number
}

/** Attempts under way, by group: each holds a place of the budget until it has ended. */
export interface Places {
  /**
   * 0: a place is taken; else the seconds until the group is within its budget again. Waits where all places are taken;
   * `null`: for as long as anybody may wait.
   */
  admit(group: string): number | Promise<number | null>
  release(group: string): void
}

interface Group {
  taken: number
  /** In order of arrival. Never without a place taken, whose release wakes them. */
  readonly waiting: Set<(secondsOver: number) => void>
}

export function createPlaces({ secondsOver, free, patienceMs }: PlacesSettings): Places {
  const groups = new Map<string, Group>()

  /** The first always gets its place: without one taken, nobody would ever wake it. */
  const mayEnter = (name: string, { taken }: Group) => taken === 0 || free(name, taken)
  const wake = (name: string, group: Group) => {
    for (const enter of group.waiting) {
      const over = secondsOver(name)
      if (over === 0 && !mayEnter(name, group)) return
      if (over === 0) group.taken += 1
      group.waiting.delete(enter)
      enter(over)
    }
  }

  return Object.freeze({
    admit: (name: string) => {
      const over = secondsOver(name)
      if (over > 0) return over
      const group = groups.get(name) ?? { taken: 0, waiting: new Set() }
      groups.set(name, group)
      if (group.waiting.size > 0 || !mayEnter(name, group)) return waitIn(group, patienceMs)
      group.taken += 1
      return 0
    },
    release: (name: string) => {
      const group = groups.get(name)
      if (group === undefined) return
      group.taken -= 1
      wake(name, group)
      if (group.taken === 0) groups.delete(name)
    },
  })
}

/** Real time, whatever the clock says. */
function waitIn({ waiting }: Group, patienceMs: number): Promise<number | null> {
  return new Promise((resolve) => {
    const enter = (secondsOver: number) => {
      clearTimeout(timer)
      resolve(secondsOver)
    }
    const timer = setTimeout(() => {
      waiting.delete(enter)
      resolve(null)
    }, patienceMs)
    waiting.add(enter)
  })
}
