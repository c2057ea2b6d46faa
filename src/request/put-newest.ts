const MAX_GROUPS = 100_000

/** Bounded: the one that was put longest ago makes room. */
export function putNewest<T>(map: Map<string, T>, group: string, value: T): void {
  map.delete(group)
  map.set(group, value)
  if (map.size <= MAX_GROUPS) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}
