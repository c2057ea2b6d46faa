import type { z } from 'zod'
import { ConfigError } from '../errors.ts'
import { isPrivateUrl } from '../lib/bounded-fetch.ts'
import { ownMember } from '../lib/own-member.ts'
import { SCOPES } from '../scopes.ts'
import { missingOption } from './config-errors.ts'
import { checkAudit } from './check-audit.ts'
import { checkIssuing } from './check-issuing.ts'
import { optionsSchema } from './schema.ts'
import type { ParsedOptions, ParsedTokens } from './parsed-options.ts'

/**
 * Options are parsed once, here, frozen, and trusted from then on.
 * @throws {ConfigError} on the first mistake; it names the option and the remedy, never the value.
 */
export function parseOptions(options: unknown): ParsedOptions {
  const own = ownCopy(options, 0)
  const parsed = optionsSchema.safeParse(own)
  if (!parsed.success) throw configError(deepest(parsed.error.issues), own)
  // zod gives objects that inherit: an option that was left out must stay so, whatever stands on a prototype.
  const settings = ownCopy(parsed.data, 0) as ParsedOptions
  checkCredentialKinds(settings)
  checkScopes(settings)
  checkAudit(settings)
  checkIssuing(settings)
  if (settings.tokens !== undefined) checkTokens(settings.tokens, settings.keys?.store.can.get === true)
  return settings
}

/** Foreign objects and what they hold are taken as they are; everything else is copied member by member. */
const FOREIGN: ReadonlySet<string> = new Set([
  'store',
  'limiter',
  'sinks',
  'clock',
  'fetch',
  'onEvent',
  'onRotationDue',
  'meter',
])

/** Documented for later versions: whoever writes one has not misspelt it. */
const LATER: ReadonlySet<string> = new Set(['telemetry.tracer'])

/** Frozen copies of own members only, so that nothing inherited (a polluted `Object.prototype`) ever becomes an option. */
function ownCopy(value: unknown, depth: number): unknown {
  if (Array.isArray(value)) return Object.freeze(value.map((item: unknown) => ownCopy(item, depth + 1)))
  if (!isPlain(value) || depth > 5) return value
  const copy: Record<string, unknown> = Object.create(null)
  for (const [name, member] of Object.entries(value)) {
    copy[name] = FOREIGN.has(name) ? member : ownCopy(member, depth + 1)
  }
  return Object.freeze(copy)
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function checkCredentialKinds(settings: ParsedOptions): void {
  if (settings.keys !== undefined || settings.tokens !== undefined) return
  throw new ConfigError('CONFIG_MISSING', 'keys', {
    problem: 'neither `keys` nor `tokens` is configured, so no caller could ever pass.',
    remedy: 'Give `keys: { store }`, `tokens: { issuer, audience, jwks }`, or both.',
  })
}

function checkScopes(settings: ParsedOptions): void {
  for (const scope of Object.keys(settings.scopes)) {
    if (!Object.hasOwn(SCOPES, scope)) continue
    throw new ConfigError('CONFIG_CONFLICT', `scopes.${scope}`, {
      problem: 'is one of the nine documented scopes.',
      remedy: 'Leave it out.',
    })
  }
}

function checkTokens(tokens: ParsedTokens, canGetKeys: boolean): void {
  if (tokens.issuingKeyCheck !== undefined && tokens.issuingKeyCheck !== 'never' && !canGetKeys) {
    throw new ConfigError('CONFIG_CONFLICT', 'tokens.issuingKeyCheck', {
      problem: 'needs `keys` with a store that can get a key by id.',
      remedy: "Configure `keys`, or leave the option out (or 'never').",
    })
  }
  if (typeof tokens.jwks === 'string' || tokens.jwks instanceof URL) keySetUrl(tokens.jwks)
}

/** The URL of a remote key set: https, or plain http to this machine. */
export function keySetUrl(text: string | URL): URL {
  const url = URL.canParse(String(text)) ? new URL(String(text)) : null
  if (url === null || !isPrivateUrl(url)) {
    throw new ConfigError('CONFIG_INVALID', 'tokens.jwks', {
      problem: 'is not an https URL.',
      remedy: 'Give the https URL of the JWK set.',
    })
  }
  if (url.username !== '' || url.password !== '') {
    throw new ConfigError('CONFIG_INVALID', 'tokens.jwks', {
      problem: 'holds a user name or password.',
      remedy: 'Leave credentials out of it.',
    })
  }
  return url
}

function configError(issue: z.core.$ZodIssue, input: unknown): ConfigError {
  const path = issue.path.map(String)
  if (issue.code === 'unrecognized_keys') {
    const option = [...path, issue.keys[0] ?? ''].join('.')
    if (LATER.has(option)) return later(option, 'Leave it out.')
    return new ConfigError('CONFIG_UNKNOWN_OPTION', option, {
      problem: 'is not an option.',
      remedy: 'Correct the name, or leave it out.',
    })
  }
  const option = path.join('.') || 'options'
  const remedy = remedyOf(issue.message)
  if (valueAt(input, path) === undefined) return missingOption(option, remedy)
  return new ConfigError('CONFIG_INVALID', option, { problem: 'is not valid.', remedy: remedy })
}

function later(option: string, remedy: string): ConfigError {
  return new ConfigError('CONFIG_UNSUPPORTED', option, { problem: 'is not supported by this version yet.', remedy })
}

/** Of a union the branch that came furthest: `pepper.0.secret` says more than `pepper`. */
function deepest(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue {
  const [first] = issues
  if (first === undefined) throw new TypeError('a failed parse without an issue')
  if (first.code !== 'invalid_union') return first
  const nested = first.errors
    .flat()
    .map((issue) => deepest([issue]))
    .filter((issue) => issue.path.length > 0)
    .toSorted((a, b) => b.path.length - a.path.length)[0]
  return nested === undefined ? first : { ...nested, path: [...first.path, ...nested.path] }
}

function valueAt(input: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, name) => ownMember(value, name), input)
}

/** zod's own messages, as an instruction: `Invalid input: expected string, received number` → `Expected string.` */
function remedyOf(message: string): string {
  const text = message.replace(/^(Invalid (input|option)|Too (small|big)): /, '').replace(/, received \w+$/, '')
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`
}
