/** Values kept on objects that are not ours, where nobody but the holder of the stamp can see or change them. */
export interface Stamp<T> {
  get(object: object): T | undefined
  set(object: object, value: T): void
}

/** Constructed, it gives back what it is handed: a class that extends it puts its private fields on that. */
const Handed = function (object: object) {
  return object
} as unknown as new (object: object) => object

/**
 * As private as a `WeakMap`, and without its price: entries for objects that die young made garbage collection cost more
 * than everything else that a guard does (docs/decisions/0005).
 */
export function createStamp<T>(): Stamp<T> {
  class Stamped extends Handed {
    #value: T

    constructor(object: object, value: T) {
      super(object)
      this.#value = value
    }

    static get(object: object): T | undefined {
      return #value in object ? object.#value : undefined
    }

    static set(object: object, value: T): void {
      if (#value in object) object.#value = value
      else void new Stamped(object, value)
    }
  }
  return Object.freeze({
    get: (object: object) => Stamped.get(object),
    set: (object: object, value: T) => Stamped.set(object, value),
  })
}
