/** Attributes as JSON texts. Not by `JSON.stringify` of objects: a `toJSON` planted on a prototype would have its way. */
export function attribute(name: string, value: string): string {
  return `{"key":${JSON.stringify(name)},"value":${value}}`
}

/**
 * opentelemetry.proto.common.v1.AnyValue in the JSON mapping of proto3. Values are looked at, whatever their type says: they
 * come from a file, and what is none would make the whole message unreadable.
 * @throws for what is no text.
 */
export function textValue(text: string): string {
  if (typeof text !== 'string') throw new TypeError('This is no text.')
  return `{"stringValue":${JSON.stringify(text)}}`
}

/** 64-bit integers are decimal texts in that mapping. @throws for what is no integer. */
export function intValue(value: number): string {
  if (!Number.isSafeInteger(value)) throw new TypeError('This is no integer.')
  return `{"intValue":"${value}"}`
}

/** @throws for what JSON has no number for. */
export function doubleValue(value: number): string {
  if (!Number.isFinite(value)) throw new TypeError('This is no number.')
  return `{"doubleValue":${value}}`
}

/**
 * What an event's member comes to, named by its path in snake case: the members of an object each for themselves, nothing
 * of `null`. An attribute that is a number always has the same type, whatever its value: receivers keep one type for a name.
 */
export function attributesOf(prefix: string, value: unknown, doubles: ReadonlySet<string>): readonly string[] {
  if (value === null || value === undefined) return []
  if (typeof value !== 'object' || Array.isArray(value))
    return [attribute(prefix, anyValue(value, doubles.has(prefix)))]
  return Object.entries(value).flatMap(([name, member]) =>
    attributesOf(`${prefix}.${snakeCase(name)}`, member, doubles),
  )
}

export function anyValue(value: unknown, double = false): string {
  if (typeof value === 'string') return textValue(value)
  if (typeof value === 'boolean') return `{"boolValue":${value}}`
  if (typeof value === 'number') return double || !Number.isSafeInteger(value) ? doubleValue(value) : intValue(value)
  if (!Array.isArray(value)) throw new TypeError('No event holds this.')
  return `{"arrayValue":{"values":[${(value as readonly unknown[]).map((each) => anyValue(each)).join(',')}]}}`
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
