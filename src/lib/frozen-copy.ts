/** A frozen copy of a flat object: lists are copied and frozen, dates are copied (a `Date` cannot be frozen). */
export function frozenCopy<T extends object>(value: T): T {
  const copy: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(value)) {
    copy[name] = member instanceof Date ? new Date(member) : Array.isArray(member) ? Object.freeze([...member]) : member
  }
  return Object.freeze(copy) as T
}
