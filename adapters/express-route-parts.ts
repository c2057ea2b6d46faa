import { types } from 'node:util'
export { ownMember as own } from '../src/adapter-kit.ts'

/** How a layer matches the path that its router was given. */
export interface LayerMatch {
  /** As the host wrote it (a RegExp: its source), without a trailing `/`; `null`: it cannot be told. */
  readonly template: string | null
  /** The part of the path that was matched. */
  readonly path: string
  /** Decoded; of a wildcard in Express 5 a list of segments. */
  readonly params: object
}

/** No parameters. */
export const NOTHING: object = Object.freeze(Object.create(null) as object)

export function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

export function membersOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value]
}

/** A path as the host wrote it. */
export function sourceOf(path: unknown): string | null {
  if (typeof path === 'string') return path.endsWith('/') ? path.replace(/\/+$/, '') : path
  return types.isRegExp(path) ? path.source : null
}
