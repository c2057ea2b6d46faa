/**
 * The values of a header as they came, in their order: Node's `headers` hides the second `Authorization` and joins
 * others. `lowerName` is in lower case. No allocation where the header is absent.
 */
export function rawValues(rawHeaders: readonly string[], lowerName: string): readonly string[] {
  let found: string[] | null = null
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    if (!isNamed(rawHeaders[at] ?? '', lowerName)) continue
    const value = rawHeaders[at + 1] ?? ''
    if (found === null) found = [value]
    else found.push(value)
  }
  return found ?? NONE
}

export function hasHeader(rawHeaders: readonly string[], lowerName: string): boolean {
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (isNamed(rawHeaders[at] ?? '', lowerName)) return true
  }
  return false
}

const NONE: readonly string[] = Object.freeze([])

/** Lower-casing every name of every request would cost more than all the rest: length and first letter rule out most. */
function isNamed(name: string, lowerName: string): boolean {
  return (
    name.length === lowerName.length &&
    (name.charCodeAt(0) | 32) === lowerName.charCodeAt(0) &&
    (name === lowerName || name.toLowerCase() === lowerName)
  )
}
