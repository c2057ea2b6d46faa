import { handleOf } from './exchange/audit-handle.ts'
import { handleInContext, type AuditHandle } from './exchange/audit-notes.ts'
import { buildHouse, type Building } from './build-house.ts'
import { NotReadyError, OrganizationMismatch, StoreCapabilityError } from './errors.ts'
import type { House } from './house.ts'
import type { KeyAdmin } from './keys/lifecycle.ts'
import { exchangeOf } from './exchange/open-exchange.ts'
import type { AuthOptions } from './options/auth-options.ts'
import { parseOptions } from './options/parse-options.ts'
import type { Principal } from './principal.ts'
import type { AuthHealth } from './health.ts'
import { healthOf } from './health.ts'
import { meterFrom } from './telemetry.ts'
import { createTokenAdmin, type TokenAdmin } from './issuing/token-admin.ts'
import { verifyCredential, type CredentialVerdict, type VerifyContext } from './verify-credential.ts'

/** How long `close` waits for open calls and the journal. */
const CLOSE_DEADLINE_MS = 10_000
/** How long `ready` waits for stores and key sets. */
const READY_DEADLINE_MS = 10_000

/** What `createAuth` returns: one a process and configuration, handed to the guards of a framework. */
export interface Auth {
  /** Stores and key set reachable, journal writable. @throws {NotReadyError} that names what is not. */
  ready(): Promise<void>
  /** A plain object for a readiness probe. */
  health(): AuthHealth
  /** Verifies a credential outside HTTP (WebSocket, queue) and writes one `auth` event before it resolves. */
  verify(credential: string, context: VerifyContext): Promise<CredentialVerdict>
  /** API keys: made, brought in, changed and looked up. Throws `StoreCapabilityError` where no key store is configured. */
  readonly keys: KeyAdmin
  /** Access tokens: minted for API keys, and revoked one by one. */
  readonly tokens: TokenAdmin
  /**
   * Beside `flush`, the audit handle of the call whose handler is running, for code that is not given the request: it throws
   * a `TypeError` where there is none.
   */
  readonly audit: AuditHandle & {
    /** Every exchange closed so far is in the journal and has reached `onEvent` (on a test server: `onEvent` alone). */
    flush(): Promise<void>
  }
  /** For an id that came in a body. @throws {OrganizationMismatch} which the adapters answer with 403 and audit as a denial. */
  assertOrganization(principal: Principal, organizationId: string): void
  /** Stops taking work, finishes open calls, drains the journal within 10 seconds. */
  close(): Promise<void>
}

const houses = new WeakMap<Auth, House>()

/** The parts behind an `auth`; undefined for anything that this copy of the package did not make. */
export function houseOf(auth: Auth): House | undefined {
  return houses.get(auth)
}

/**
 * Puts the parts together. Synchronous, and opens nothing: that happens in `ready()` or at first use.
 * @throws {ConfigError} on a mistake in the options, naming the option and the remedy.
 */
export function createAuth(options: AuthOptions): Auth {
  const parsed = parseOptions(options)
  const building = buildHouse(parsed)
  const { house } = building
  const meter = parsed.telemetry?.meter
  const unmeter = meter === undefined ? null : meterFrom(meter, () => house.recorder.health().metrics)
  let closed: Promise<void> | null = null
  const auth: Auth = Object.freeze({
    ready: () => ready(building),
    health: () => healthOf(house),
    verify: (credential: string, context: VerifyContext) => verifyCredential(house, credential, context),
    keys: building.keyAdmin ?? NO_KEYS,
    tokens: createTokenAdmin(house, building.revokeToken),
    audit: Object.freeze({
      flush: () => flush(house),
      ...handleInContext((request) => {
        const exchange = exchangeOf(house, request)
        return exchange === null ? null : handleOf(exchange)
      }),
    }),
    assertOrganization,
    close: () => {
      closed ??= close(building).finally(() => unmeter?.())
      return closed
    },
  })
  houses.set(auth, house)
  return auth
}

function assertOrganization(principal: Principal, organizationId: string): void {
  // Two ids that are both missing name no organization, and so none that could match.
  if (typeof organizationId !== 'string' || principal.organizationId !== organizationId)
    throw new OrganizationMismatch()
}

async function ready({ house }: Building): Promise<void> {
  if (house.closing())
    throw new NotReadyError('CLOSED', { problem: 'This auth is closed.', remedy: 'Create a new one.' })
  const signal = AbortSignal.timeout(READY_DEADLINE_MS)
  await Promise.all([
    house.recorder.ready().catch((cause: unknown) => {
      throw new NotReadyError('JOURNAL_NOT_WRITABLE', {
        problem: 'The audit journal cannot be written.',
        remedy:
          'Check that audit.directory exists on a local volume with space, and that this process may write there.',
        cause,
      })
    }),
    house.keys?.ready(signal).catch((cause: unknown) => {
      throw new NotReadyError('STORE_UNREACHABLE', {
        problem: 'The key store does not answer.',
        remedy: 'Check its address and that it runs.',
        cause,
      })
    }),
    house.revokedTokens?.ready().then((read) => {
      if (read) return
      throw new NotReadyError('STORE_UNREACHABLE', {
        problem: 'The key store does not say which tokens are revoked.',
        remedy: 'Check its address and that it runs.',
      })
    }),
    house.tokens?.ready(signal).catch((cause: unknown) => {
      throw new NotReadyError('JWKS_UNREACHABLE', {
        problem: 'No usable key set could be loaded.',
        remedy: 'Check tokens.jwks and the issuer.',
        cause,
      })
    }),
  ])
}

async function flush({ tracker, recorder }: House): Promise<void> {
  await tracker.settled()
  await recorder.flush()
}

async function close({ house, shut }: Building): Promise<void> {
  shut()
  const started = performance.now()
  await house.tracker.idle(CLOSE_DEADLINE_MS)
  house.revokedTokens?.stop()
  await house.recorder.close(Math.max(0, CLOSE_DEADLINE_MS - (performance.now() - started)))
  await house.keys?.close(Math.max(0, CLOSE_DEADLINE_MS - (performance.now() - started)))
}

const NO_KEYS: KeyAdmin = Object.freeze({
  create: noKeys,
  import: noKeys,
  get: noKeys,
  list: noKeys,
  rotate: noKeys,
  revoke: noKeys,
  update: noKeys,
  rotationDue: noKeys,
})

function noKeys(): Promise<never> {
  return Promise.reject(new StoreCapabilityError('This auth has no key store: configure `keys: { store }`.'))
}
