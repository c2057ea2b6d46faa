import { inspect } from 'node:util'
import type { Scope } from './scopes.ts'

/** Of a server, a key and a token alike; one never passes in the other. */
export type Environment = 'live' | 'test'

/** An API key (`hc_…`), or an access token (a JWT). */
export type CredentialKind = 'api-key' | 'access-token'

/** The scopes of a principal: reads like a `ReadonlySet`, but is no `Set`, so that nothing of `Set.prototype` can change it. */
export interface ScopeSet extends Iterable<Scope> {
  readonly size: number
  has(scope: Scope): boolean
  values(): IterableIterator<Scope>
  toJSON(): Scope[]
}

interface PrincipalFacts {
  /** The organization that owns the key, or that the token was issued for. */
  readonly organizationId: string
  /** Of a key: its id. Of a token: its `sub`. */
  readonly subject: string
  readonly environment: Environment
  readonly scopes: ScopeSet
  /** A new `Date` on each read; `null`: does not expire by itself. */
  readonly expiresAt: Date | null
  /** Set while a rotated key lives on: it is valid strictly before `validUntil`. */
  readonly rotation: { readonly validUntil: Date } | null
}

/** A caller with an API key. */
export interface ApiKeyPrincipal extends PrincipalFacts {
  readonly kind: 'api-key'
  /** Id of its record, never the key. */
  readonly keyId: string
  readonly tokenId: null
}

/** A caller with an access token (RFC 9068). */
export interface AccessTokenPrincipal extends PrincipalFacts {
  readonly kind: 'access-token'
  /** The API key that the token was exchanged for, where the token names one. */
  readonly keyId: string | null
  /** RFC 7519 section 4.1.7 `jti`. */
  readonly tokenId: string | null
}

/** Who is calling. Never carries the credential, and cannot be changed. */
export type Principal = ApiKeyPrincipal | AccessTokenPrincipal

/** Client addresses that a key may be used from. */
export interface Allowlist {
  holds(address: string): boolean
  /** CIDR blocks and single addresses, as they were given; whoever passes an allowlist on must have them. */
  readonly rules?: readonly string[] | undefined
}

/** What a verifier establishes, before anything is public. */
export interface IdentityFacts {
  readonly kind: CredentialKind
  readonly organizationId: string
  readonly subject: string
  readonly keyId: string | null
  readonly tokenId: string | null
  readonly environment: Environment
  readonly scopes: ReadonlySet<string>
  /** Epoch milliseconds; `null`: does not expire by itself. */
  readonly expiresAt: number | null
  /** Epoch milliseconds: a rotated key's last moment (exclusive); `null`: not rotated. */
  readonly graceEnds: number | null
  /** `null`: any address. */
  readonly allowlist: Allowlist | null
}

/**
 * The private identity that every decision reads. It never leaves this package: callers see `principal` alone, so that
 * whatever a handler does to it (or to a prototype) changes no decision.
 */
export interface Identity extends IdentityFacts {
  readonly ok: true
  readonly principal: Principal
}

/** A class, because engines make objects of one shape from it at the least cost: each new token needs one. */
class FrozenIdentity implements Identity {
  readonly ok = true
  readonly kind: CredentialKind
  readonly organizationId: string
  readonly subject: string
  readonly keyId: string | null
  readonly tokenId: string | null
  readonly environment: Environment
  readonly scopes: ReadonlySet<string>
  readonly expiresAt: number | null
  readonly graceEnds: number | null
  readonly allowlist: Allowlist | null
  #principal: Principal | null = null

  constructor(facts: IdentityFacts) {
    this.kind = facts.kind
    this.organizationId = facts.organizationId
    this.subject = facts.subject
    this.keyId = facts.keyId
    this.tokenId = facts.tokenId
    this.environment = facts.environment
    this.scopes = facts.scopes
    this.expiresAt = facts.expiresAt
    this.graceEnds = facts.graceEnds
    this.allowlist = facts.allowlist
    Object.freeze(this)
  }

  /** Made at the first read: it costs several times what a decision does, and many handlers never ask for it. */
  get principal(): Principal {
    return (this.#principal ??= createPrincipal(this))
  }
}

// Nothing that somebody puts on `Object.prototype` becomes a member of an identity.
Object.setPrototypeOf(FrozenIdentity.prototype, null)
Object.freeze(FrozenIdentity.prototype)

export function createIdentity(facts: IdentityFacts): Identity {
  return new FrozenIdentity(facts)
}

function createPrincipal(facts: IdentityFacts): Principal {
  const { expiresAt, graceEnds } = facts
  const principal = {
    kind: facts.kind,
    organizationId: facts.organizationId,
    subject: facts.subject,
    keyId: facts.keyId,
    tokenId: facts.tokenId,
    environment: facts.environment,
    scopes: scopeSet(facts.scopes),
    get expiresAt() {
      return expiresAt === null ? null : new Date(expiresAt)
    },
    get rotation() {
      return graceEnds === null ? null : Object.freeze({ validUntil: new Date(graceEnds) })
    },
  }
  return Object.freeze(principal) as Principal
}

function scopeSet(scopes: ReadonlySet<string>): ScopeSet {
  const list = [...scopes] as Scope[]
  return Object.freeze({
    size: list.length,
    has: (scope: Scope) => scopes.has(scope),
    values: () => list.values(),
    toJSON: () => [...list],
    [Symbol.iterator]: () => list.values(),
    [inspect.custom]: () => `ScopeSet { ${list.join(', ')} }`,
  })
}
