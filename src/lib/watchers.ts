/** Those who want to be told of something. One that throws disturbs neither who tells nor the others. */
export interface Watchers<News> {
  count(): number
  /** Given twice, one is told twice. Returns how to leave, which says whether that was the first time. */
  add(on: (news: News) => void): () => boolean
  tell(news: News): void
  clear(): void
}

export function createWatchers<News>(): Watchers<News> {
  const all = new Set<(news: News) => void>()
  return Object.freeze({
    count: () => all.size,
    add: (on: (news: News) => void) => {
      // A function of its own for each.
      const watcher = (news: News) => on(news)
      all.add(watcher)
      return () => all.delete(watcher)
    },
    tell: (news: News) => {
      for (const watcher of all) {
        try {
          watcher(news)
        } catch {
          // Its own affair: what it is told of has happened.
        }
      }
    },
    clear: () => all.clear(),
  })
}
