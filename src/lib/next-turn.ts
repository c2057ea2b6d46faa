/** After everything that waits for the event loop now: work that never waits for anything must let it in between. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
