/** Freezes the object and all that it holds. What is frozen already is taken to be so throughout. */
export function deepFrozen<T extends object>(value: T): T {
  if (Object.isFrozen(value)) return value
  for (const member of Object.values(value) as unknown[]) {
    if (typeof member === 'object' && member !== null) deepFrozen(member)
  }
  return Object.freeze(value)
}
