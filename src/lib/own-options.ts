/** A mistake in the options of a factory. Told by its members, as a `ConfigError` is; never holds the value. */
export interface OptionError extends TypeError {
  readonly code: 'CONFIG_MISSING' | 'CONFIG_INVALID' | 'CONFIG_UNKNOWN_OPTION'
  /** Path of the option, such as `httpSink.url`. */
  readonly option: string
  /** What to do about it. */
  readonly remedy: string
}

/** The options that were given to a factory: own members alone, none of them misspelt. */
export interface OwnOptions {
  /** `undefined`: left out. */
  get(name: string): unknown
  /** The error about one of them. */
  mistake(name: string, problem: string, remedy: string): OptionError
}

/** @throws {OptionError} where they are no object, or one has a name that is not expected. */
export function readOwnOptions(factory: string, options: unknown, names: readonly string[]): OwnOptions {
  const expected = `There is ${names.map((name) => `\`${name}\``).join(', ')}.`
  if (options === undefined) throw optionError('CONFIG_MISSING', factory, ['its options are missing.', expected])
  if (typeof options !== 'object' || options === null) {
    throw optionError('CONFIG_INVALID', factory, ['its options are no object.', expected])
  }
  const own = new Map<string, unknown>(Object.entries(options))
  const unknown = [...own.keys()].find((name) => !names.includes(name))
  if (unknown !== undefined) {
    const remedy = `Check its spelling. ${expected}`
    throw optionError('CONFIG_UNKNOWN_OPTION', `${factory}.${unknown}`, ['is no option.', remedy])
  }
  return Object.freeze({
    get: (name: string) => own.get(name),
    mistake: (name: string, problem: string, remedy: string) => {
      const missing = own.get(name) === undefined
      return optionError(missing ? 'CONFIG_MISSING' : 'CONFIG_INVALID', `${factory}.${name}`, [problem, remedy])
    },
  })
}

/** Of a `Headers`, a `Map` or a list the members would be read, of which it has none, and nobody would notice. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || (typeof prototype === 'object' && Object.getPrototypeOf(prototype) === null)
}

function optionError(code: OptionError['code'], option: string, [problem, remedy]: [string, string]): OptionError {
  return Object.assign(new TypeError(`${option}: ${problem} ${remedy}`), { code, option, remedy })
}
