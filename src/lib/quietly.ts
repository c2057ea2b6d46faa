/** For work whose failure changes nothing that is done next. Gives whether it went well. */
export function quietly(work: () => void): boolean {
  try {
    work()
    return true
  } catch {
    return false
  }
}
