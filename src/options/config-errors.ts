import { ConfigError } from '../errors.ts'

export function missingOption(option: string, remedy: string): ConfigError {
  return new ConfigError('CONFIG_MISSING', option, { problem: 'is required.', remedy })
}

export function conflict(option: string, problem: string, remedy: string): ConfigError {
  return new ConfigError('CONFIG_CONFLICT', option, { problem, remedy })
}

/** Two secrets with one id could not be told apart in what they wrote. */
export function checkUnique(option: string, secrets: readonly { readonly id: string }[]): void {
  const ids = new Set<string>()
  for (const [index, { id }] of secrets.entries()) {
    if (ids.has(id)) throw conflict(`${option}.${index}.id`, 'is used twice.', 'Give each its own id.')
    ids.add(id)
  }
}
