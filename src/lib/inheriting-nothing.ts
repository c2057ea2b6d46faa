/** Not `null` itself: engines keep objects without a prototype in a slower form. */
const NOTHING: object = Object.freeze(Object.create(null))

/** Options for a library that reads members which are not there: without this, from a polluted `Object.prototype`. */
export function inheritingNothing<T extends object>(options: T): T {
  return Object.setPrototypeOf(options, NOTHING) as T
}
