import type { OwnOptions } from './own-options.ts'

/** Members that every factory of something that writes to an engine has. */
export const ENGINE_OPTIONS: readonly string[] = ['name', 'required', 'retains', 'timeoutMs']

export interface EngineSettings {
  readonly name: string
  readonly required: boolean
  readonly retains: boolean
  readonly timeoutMs: number
}

const DEFAULT_TIMEOUT_MS = 10_000
const MAX_TIMEOUT_MS = 60_000

/** @throws {OptionError} for the first mistake; it names the option and the remedy. */
export function readEngineOptions(own: OwnOptions, name: string): EngineSettings {
  return Object.freeze({
    name: readText(own, 'name', {
      fallback: name,
      form: /^[a-z0-9-]{1,64}$/,
      remedy: 'Give 1 to 64 of a-z, 0-9 and `-`: a file has this name.',
    }),
    required: readFlag(own, 'required'),
    retains: readFlag(own, 'retains'),
    timeoutMs: readTimeout(own),
  })
}

export interface TextForm {
  readonly fallback: string
  readonly form: RegExp
  readonly remedy: string
}

/** @throws {OptionError} where the option is there and not of this form. */
export function readText(own: OwnOptions, name: string, { fallback, form, remedy }: TextForm): string {
  const value = own.get(name) ?? fallback
  if (typeof value === 'string' && form.test(value)) return value
  throw own.mistake(name, 'is of the wrong form.', remedy)
}

function readFlag(own: OwnOptions, name: string): boolean {
  const value = own.get(name) ?? false
  if (typeof value === 'boolean') return value
  throw own.mistake(name, 'is neither true nor false.', 'Give `true`, or leave it out.')
}

function readTimeout(own: OwnOptions): number {
  const value = own.get('timeoutMs') ?? DEFAULT_TIMEOUT_MS
  if (typeof value === 'number' && value > 0 && value <= MAX_TIMEOUT_MS) return value
  throw own.mistake('timeoutMs', 'is out of range.', 'Give milliseconds, at most 60,000.')
}
