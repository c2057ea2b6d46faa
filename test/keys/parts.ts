import { createHash, randomBytes } from 'node:crypto'
import type { Clock } from '../../src/lib/clock.ts'
import { createDigester, type Pepper } from '../../src/keys/digest.ts'
import { generateKey } from '../../src/keys/generate.ts'
import { createKeyAdmin, type KeyAdmin, type KeyAdminChange } from '../../src/keys/lifecycle.ts'
import type { KeyChange, KeyRecord, KeyStore } from '../../src/keys/store.ts'
import {
  createKeyVerifier,
  type AttemptBudget,
  type KeyVerifier,
  type KeyVerifierSettings,
} from '../../src/keys/verifier.ts'
import { scopeCatalogue } from '../../src/scopes.ts'
import { memoryKeyStore } from '../../src/stores/memory.ts'

export const DAY = 86_400_000
export const START = Date.UTC(2026, 2, 18, 12)

/** Instants and durations, moved together or apart. */
export interface ManualClock extends Clock {
  advance(ms: number): void
  /** The wall clock alone, as NTP would. */
  setWall(ms: number): void
}

export function manualClock(): ManualClock {
  let wall = START
  let monotonic = 5000
  return {
    now: () => wall,
    monotonicMs: () => monotonic,
    advance: (ms) => {
      wall += ms
      monotonic += ms
    },
    setWall: (ms) => {
      wall = ms
    },
  }
}

export const newKey = (environment: 'live' | 'test' = 'live'): string => generateKey(environment, randomBytes)

let count = 0

export function recordOf(key: string, more: Partial<KeyRecord> = {}): KeyRecord {
  count += 1
  return {
    id: `key_t${count}`,
    organizationId: 'org_1',
    environment: key.startsWith('hc_test_') ? 'test' : 'live',
    name: 'a key',
    scopes: ['read:patients'],
    hint: `${key.slice(0, 11)}…${key.slice(-4)}`,
    digest: `sha256:${createHash('sha256').update(key).digest('base64url')}`,
    allowedCidrs: [],
    createdAt: new Date(START - DAY),
    createdBy: 'tests',
    expiresAt: null,
    rotatedAt: null,
    validUntil: null,
    replacedBy: null,
    revokedAt: null,
    revokedReason: null,
    lastUsedAt: null,
    ...more,
  }
}

export interface Spied {
  readonly store: KeyStore
  /** How many questions reached the store. */
  asked(): number
  /** Pushes a change to whoever watches. */
  push(change: KeyChange): void
  watchers(): number
}

/** A store whose questions are counted; `more` replaces methods of the memory store that it stands on. */
export function spied(records: readonly KeyRecord[] = [], more: Partial<KeyStore> = {}): Spied {
  const memory = memoryKeyStore(records)
  const base: KeyStore = { ...memory, ...more }
  const listeners = new Set<(change: KeyChange) => void>()
  let asked = 0
  const store: KeyStore = {
    ...base,
    find: (lookup, context) => {
      asked += 1
      return base.find(lookup, context)
    },
    get: (id, context) => {
      asked += 1
      return base.get(id, context)
    },
  }
  if (base.watch !== undefined) {
    store.watch = async (on) => {
      listeners.add(on)
      const leave = await base.watch?.(on)
      return async () => {
        listeners.delete(on)
        await leave?.()
      }
    }
  }
  return {
    store,
    asked: () => asked,
    push: (change) => {
      for (const listener of listeners) listener(change)
    },
    watchers: () => listeners.size,
  }
}

export const NO_FEED = { write: true, watch: false, list: true, get: true, revocations: true } as const

export const never = (): Promise<never> => new Promise(() => undefined)
/** Within budget, always. */
export const WITHIN: AttemptBudget = { admit: () => 0, release: () => undefined, count: () => undefined }

export function verifierOf(store: KeyStore, more: Partial<KeyVerifierSettings> = {}): KeyVerifier {
  return createKeyVerifier({
    store,
    digester: createDigester([]),
    environment: 'live',
    catalogue: scopeCatalogue({}),
    clock: manualClock(),
    cacheSeconds: 30,
    missCacheSeconds: 5,
    staleIfErrorSeconds: 60,
    cacheEntries: 1000,
    timeoutMs: 250,
    budget: WITHIN,
    onRotationDue: null,
    ...more,
  })
}

export interface Administered {
  readonly keys: KeyAdmin
  /** What would be audited, in order. */
  readonly changes: KeyAdminChange[]
  readonly verifier: KeyVerifier
  readonly store: KeyStore
  readonly clock: ManualClock
}

/** `auth.keys` and the verifier of one instance, with the partner's scope `read:labs`. */
export function administered({
  store = memoryKeyStore(),
  peppers = [],
  beforeChange = () => undefined,
  clock = manualClock(),
  ...more
}: {
  store?: KeyStore
  peppers?: readonly Pepper[]
  beforeChange?: () => void
  clock?: ManualClock
} & Partial<KeyVerifierSettings> = {}): Administered {
  const changes: KeyAdminChange[] = []
  const digester = createDigester(peppers)
  const catalogue = scopeCatalogue({ 'read:labs': { description: 'labs', level: 'Standard' } })
  const verifier = verifierOf(store, { digester, clock, catalogue, ...more })
  const keys = createKeyAdmin({
    store,
    digester,
    catalogue,
    clock,
    random: randomBytes,
    beforeChange,
    onChange: (change) => changes.push(change),
    forgetMisses: verifier.forgetMisses,
    forget: verifier.forget,
  })
  return { keys, changes, verifier, store, clock }
}

/** What a verification came to, in one word. */
export async function outcome(verifier: KeyVerifier, key: string): Promise<string> {
  const found = await verifier.verify(key, null)
  return found.ok ? 'ok' : found.reason
}

/** Runs with members that every object inherits. Nothing may be expected meanwhile: the test runner inherits them, too. */
export async function polluted<T>(members: Readonly<Record<string, unknown>>, run: () => T | Promise<T>): Promise<T> {
  const everything: object = Object.prototype
  try {
    for (const [name, value] of Object.entries(members)) {
      Reflect.defineProperty(everything, name, { value, configurable: true, writable: true })
    }
    return await run()
  } finally {
    for (const name of Object.keys(members)) Reflect.deleteProperty(everything, name)
  }
}
