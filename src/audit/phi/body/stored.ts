import { types } from 'node:util'

/**
 * What is stored in an object under this name. Never runs code: a getter is not called, what a (polluted) prototype holds is
 * not seen. The object itself must be no proxy: ask `isStored` first.
 */
export function storedIn(object: object, name: string | number): unknown {
  const descriptor = Object.getOwnPropertyDescriptor(object, name)
  // A getter's descriptor has no `value` of its own, and that of a polluted prototype must not be taken for one.
  return descriptor !== undefined && Object.hasOwn(descriptor, 'value') ? descriptor.value : undefined
}

/** An object that can be looked into without running anybody's code. */
export function isStored(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !types.isProxy(value)
}

/** As `isStored`; of no proxy, so that `Array.isArray` runs and throws nothing either. */
export function storedList(object: object, name: string): readonly unknown[] | null {
  const list = storedIn(object, name)
  return isStored(list) && Array.isArray(list) ? list : null
}

export function storedText(object: object, name: string): string | null {
  const text = storedIn(object, name)
  return typeof text === 'string' && text !== '' ? text : null
}
