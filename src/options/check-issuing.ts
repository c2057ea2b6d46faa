import { ConfigError } from '../errors.ts'
import type { SigningKey } from '../tokens/signing-keys.ts'
import type { ParsedIssuing, ParsedOptions, ParsedTokens } from './parsed-options.ts'

/** @throws {ConfigError} where tokens could not be minted, or where those that are minted would not be taken here. */
export function checkIssuing({ issuing, tokens, keys }: ParsedOptions): void {
  if (issuing !== undefined) {
    if (keys === undefined) {
      throw new ConfigError('CONFIG_MISSING', 'keys', {
        problem: 'is required where `issuing` is set: tokens are exchanged for API keys.',
        remedy: 'Give `keys: { store }`.',
      })
    }
    checkSigningKeys(issuing.signingKeys)
  }
  if (tokens === undefined || tokens.jwks !== undefined) return
  if (issuing === undefined) {
    throw new ConfigError('CONFIG_MISSING', 'tokens.jwks', {
      problem: 'is required where `issuing` is not set.',
      remedy: 'Expected the URL of a JWK set, or a JWK set with at least one key.',
    })
  }
  checkOwnTokens(tokens, issuing)
}

function checkSigningKeys(keys: readonly SigningKey[]): void {
  for (const [index, key] of keys.entries()) {
    const before = keys.slice(0, index)
    const option = `issuing.signingKeys.${index}`
    if (before.some(({ kid }) => kid === key.kid)) {
      throw conflict(option, 'has the `kid` of another one.', 'Give each key once, and each its own `kid`.')
    }
    if (!before.some(({ from }) => from === key.from)) continue
    throw key.from === Number.NEGATIVE_INFINITY
      ? conflict(
          option,
          'is the second one without `from`.',
          'Give `{ key, from: Date }`: at most one key counts from the beginning.',
        )
      : conflict(`${option}.from`, 'is the instant of another key.', 'Give each key its own.')
  }
}

/** Where the own keys verify, a token that is minted here must be taken here. */
function checkOwnTokens(tokens: ParsedTokens, issuing: ParsedIssuing): void {
  const minted = listOf(issuing.audience)
  const { claims } = tokens
  const differences: readonly (readonly [differs: boolean, option: string])[] = [
    [tokens.issuer !== issuing.issuer, 'tokens.issuer'],
    [!listOf(tokens.audience).some((each) => minted.includes(each)), 'tokens.audience'],
    [tokens.maxLifetimeSeconds < issuing.lifetimeSeconds, 'tokens.maxLifetimeSeconds'],
    [!tokens.algorithms.includes('RS256'), 'tokens.algorithms'],
    [!tokens.types.some((type) => /^(?:application\/)?at\+jwt$/i.test(type)), 'tokens.types'],
    [claims.organization !== 'org', 'tokens.claims.organization'],
    [claims.environment !== 'env', 'tokens.claims.environment'],
    [claims.scope !== 'scope', 'tokens.claims.scope'],
    [claims.issuingKey !== 'client_id', 'tokens.claims.issuingKey'],
  ]
  for (const [differs, option] of differences) {
    if (differs)
      throw conflict(
        option,
        'would refuse the tokens that `issuing` mints.',
        'Make the two agree, or give `tokens.jwks`.',
      )
  }
}

function listOf(audience: string | readonly string[]): readonly string[] {
  return typeof audience === 'string' ? [audience] : audience
}

function conflict(option: string, problem: string, remedy: string): ConfigError {
  return new ConfigError('CONFIG_CONFLICT', option, { problem, remedy })
}
