/** One flush for all that waits: those who come while one is under way share the next. */
export interface GroupSync {
  /** Resolves once a flush that began after this call has ended: whether it was good. */
  wait(): Promise<boolean>
  /** The flush under way began longer ago than the deadline: nobody else should wait for it. */
  readonly stalled: boolean
}

export interface GroupSyncSettings {
  /** Resolves with whether all that was there when it was called is on the disk now; never rejects. */
  flush(): Promise<boolean>
  readonly deadlineMs: number
}

/**
 * Commits back to back: while the disk works on one group the next one gathers, so a slow disk makes groups larger and a
 * timer would only add to the waiting. Whoever waits for longer than the deadline is told `false`.
 */
export function createGroupSync({ flush, deadlineMs }: GroupSyncSettings): GroupSync {
  let gathering: ((good: boolean) => void)[] = []
  let gatheringSinceMs = 0
  let busy = false
  let stalled = false

  const run = async (): Promise<void> => {
    busy = true
    while (gathering.length > 0) {
      const group = gathering
      gathering = []
      // From when the first of them came: he may have waited for the flush before.
      const left = deadlineMs - (performance.now() - gatheringSinceMs)
      const late = setTimeout(() => {
        stalled = true
        const waiting = [...group, ...gathering]
        gathering = []
        for (const tell of waiting) tell(false)
      }, left)
      const good = await flush()
      clearTimeout(late)
      stalled = false
      for (const tell of group) tell(good)
    }
    busy = false
  }

  return Object.freeze({
    get stalled() {
      return stalled
    },
    wait() {
      if (stalled) return Promise.resolve(false)
      return new Promise<boolean>((resolve) => {
        if (gathering.length === 0) gatheringSinceMs = performance.now()
        gathering.push(resolve)
        if (!busy) void run()
      })
    },
  })
}
