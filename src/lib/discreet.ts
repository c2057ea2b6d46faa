import { inspect } from 'node:util'
import { inheritingNothing } from './inheriting-nothing.ts'

/**
 * Freezes an object that holds a secret, or leads to one, and gives it a face: what `console.log` and JSON show of it. The
 * face stands on the prototype, so that the object can still be spread into headers.
 */
export function discreet<T extends object>(object: T, face: () => object): T {
  const prototype: object = {}
  define(prototype, inspect.custom, face)
  define(prototype, 'toJSON', face)
  return Object.freeze(Object.setPrototypeOf(object, Object.freeze(prototype)) as T)
}

/** A member that is read by its name alone: neither spread nor enumerated. */
export function withHidden<T extends object, N extends string, V>(
  object: T,
  name: N,
  value: V,
): T & Readonly<Record<N, V>> {
  return define(object, name, value) as T & Readonly<Record<N, V>>
}

/** A descriptor, too, would inherit from a polluted prototype. */
function define(object: object, name: string | symbol, value: unknown): object {
  return Object.defineProperty(object, name, inheritingNothing({ value, enumerable: false }))
}
