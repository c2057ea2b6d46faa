import type { Auth } from '../auth.ts'
import { answerTo, deny, type Denial } from '../decision.ts'
import { ConfigError } from '../errors.ts'
import type { House } from '../house.ts'
import { inheritingNothing } from '../lib/inheriting-nothing.ts'
import type { Identity } from '../principal.ts'
import { credentialOf, type Credential } from '../request/credential.ts'
import { issuedAtOf } from '../tokens/issued-at.ts'
import { handlerOf, type ServerHandler } from './handler.ts'
import { houseOfEndpoint } from './house-of-endpoint.ts'
import { serve, type Endpoint } from './serve.ts'

const NOTHING: readonly string[] = Object.freeze([])
const INACTIVE = '{"active":false}'

/**
 * RFC 7662, for partners who ask instead of holding keys: `POST` with `token=…` as `application/x-www-form-urlencoded`, behind
 * any good API key. Only a good key or token of the caller's own organization and this environment is `active`; of all others
 * the answer says no more than `active: false`. An outage is 503. One `auth` event `token.introspect` for each call. What is
 * asked about does not count as a failed attempt: the caller has an identity, and his customers' mistakes are not his.
 * @throws {ConfigError} where `auth` was made without `keys`.
 */
export function introspectionEndpoint(auth: Auth): ServerHandler {
  const house = houseOfEndpoint(auth)
  if (house.keys === null) {
    throw new ConfigError('CONFIG_MISSING', 'keys', {
      problem: 'is required by introspectionEndpoint: it stands behind an API key.',
      remedy: 'Give `keys: { store }` to createAuth.',
    })
  }
  const endpoint = introspectionOf(house)
  return handlerOf(auth, (request, caller) => serve(house, endpoint, { request, caller }))
}

/** `text`: what is asked about. */
interface Question {
  readonly text: string
}

function introspectionOf(house: House): Endpoint<Question> {
  return Object.freeze<Endpoint<Question>>({
    name: 'token.introspect',
    mediaType: 'application/x-www-form-urlencoded',
    read: readForm,
    required: () => NOTHING,
    check: () => null,
    answer: async (caller, { text }) => {
      const found = await lookUp(house, credentialOf(text))
      if (!found.ok && answerTo(found).status >= 500) return deny(found.reason, 'api-key')
      if (!found.ok || found.organizationId !== caller.organizationId)
        return { ok: true, body: INACTIVE, tokenId: null }
      const allowlist = allowlistOf(found)
      return allowlist === null
        ? deny('store_invalid_record', 'api-key')
        : { ok: true, body: describe(found, { text, allowlist }), tokenId: null }
    },
  })
}

/** RFC 7662 section 2.1: `token`, once (RFC 6749 section 3.1). The hint is not needed, and other members are ignored. */
function readForm(form: string): Question | Denial {
  const [text, ...more] = new URLSearchParams(form).getAll('token')
  return text === undefined || text === '' || more.length > 0 ? deny('request_malformed') : { text }
}

function lookUp(
  { keys, introspected }: House,
  credential: Credential | Denial,
): Identity | Denial | Promise<Identity | Denial> {
  if (!credential.ok) return credential
  if (credential.kind === 'none') return deny('credential_missing')
  const verifier = credential.kind === 'api-key' ? keys?.introspect : introspected?.verify
  return verifier?.(credential.text) ?? deny('credential_not_accepted', credential.kind)
}

/** `null`: there is one that cannot be told, and to leave it out would mean any address. */
function allowlistOf({ allowlist }: Identity): readonly string[] | null {
  if (allowlist === null) return NOTHING
  const { rules = NOTHING } = allowlist
  return rules.length === 0 ? null : rules
}

/** RFC 7662 section 2.2, and the extension members that our client store reads. */
function describe(found: Identity, { text, allowlist }: { text: string; allowlist: readonly string[] }): string {
  const { organizationId: org, environment: env, scopes, subject: sub, keyId, tokenId, expiresAt } = found
  const ofKey = found.kind === 'api-key'
  return JSON.stringify(
    inheritingNothing({
      active: true,
      scope: [...scopes].join(' '),
      ...(keyId === null ? {} : { client_id: keyId, key_id: keyId }),
      token_type: 'Bearer',
      ...(expiresAt === null ? {} : { exp: Math.floor(expiresAt / 1000) }),
      ...(ofKey ? {} : { iat: issuedAtOf(text) }),
      sub,
      ...(tokenId === null ? {} : { jti: tokenId }),
      org,
      env,
      ...(ofKey ? { allowed_cidrs: allowlist, valid_until: instantOf(found.graceEnds) } : {}),
    }),
  )
}

function instantOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
