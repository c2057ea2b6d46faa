/** A member of the object (or function) itself: what stands on its prototype, which may be polluted, is never read. */
export function ownMember(object: unknown, name: string): unknown {
  return hasMembers(object) && Object.hasOwn(object, name) ? object[name] : undefined
}

function hasMembers(value: unknown): value is Readonly<Record<string, unknown>> {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}
