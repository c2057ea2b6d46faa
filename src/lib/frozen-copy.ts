import { types } from 'node:util'

/** A frozen copy of a flat object's own members: lists are copied and frozen, dates are copied (a `Date` cannot be frozen). */
export function frozenCopy<T extends object>(value: T): T {
  return Object.freeze(Object.fromEntries(Object.entries(value).map(([name, member]) => [name, copyOf(member)]))) as T
}

function copyOf(member: unknown): unknown {
  if (types.isDate(member)) return new Date(member)
  return Array.isArray(member) ? Object.freeze([...(member as readonly unknown[])]) : member
}
