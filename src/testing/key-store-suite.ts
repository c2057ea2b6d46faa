import type { KeyStore } from '../keys/store.ts'
import { ConfigError } from '../errors.ts'
import { subjectOf, type StoreCase } from './key-store/subject.ts'
import { insertCases } from './key-store/inserting.ts'
import { pushCases } from './key-store/pushing.ts'
import { readCases } from './key-store/reading.ts'
import { replaceCases } from './key-store/replacing.ts'
import { updateCases } from './key-store/updating.ts'
import { refuseProduction } from './refuse-production.ts'

refuseProduction()

/** The store that `keyStoreSuite` tries. */
export interface KeyStoreSuite {
  /** What the cases are called after. */
  readonly name: string
  /** A new store without keys, for one case, which closes it. */
  readonly open: () => KeyStore | Promise<KeyStore>
  /** Milliseconds that a change may take until it is pushed; 0: before the call that made it resolves. */
  readonly pushedWithinMs: number
}

/** One case, for whichever test runner. */
export interface SuiteCase {
  readonly name: string
  /** Rejects with an `AssertionError` where the store does not do what it must. */
  readonly run: () => Promise<void>
}

const CASES: readonly StoreCase[] = [...readCases, ...insertCases, ...replaceCases, ...updateCases, ...pushCases]

/**
 * What every writable key store does, whatever it stands on, as cases for any test runner (node:test, vitest, jest):
 *
 * ```ts
 * for (const { name, run } of keyStoreSuite({ name: 'mine', open: () => myKeyStore(), pushedWithinMs: 1000 })) test(name, run)
 * ```
 *
 * Each case opens a store of its own by `open` and closes it; they may run side by side where `open` gives stores that do
 * not share keys. A case about watching or about revoked tokens passes unrun where the store says (`can`) that it cannot.
 * Allow 20 seconds a case: the longest writes a thousand keys one by one.
 *
 * @throws ConfigError where an option is missing or of the wrong type.
 */
export function keyStoreSuite(suite: KeyStoreSuite): readonly SuiteCase[] {
  const { name, open, pushedWithinMs } = checked(suite)
  return CASES.map(([title, check]) => ({
    name: `the key store ${name} ${title}`,
    run: async () => {
      const store = await open()
      try {
        await check(subjectOf(store, pushedWithinMs))
      } finally {
        await store.close?.()
      }
    },
  }))
}

function checked(suite: KeyStoreSuite): KeyStoreSuite {
  const own = Object.assign(Object.create(null) as KeyStoreSuite, suite)
  const mustBe = (option: keyof KeyStoreSuite, type: 'string' | 'function' | 'number', remedy: string) => {
    if (typeof own[option] === type) return
    throw new ConfigError('CONFIG_INVALID', option, { problem: `must be a ${type}.`, remedy })
  }
  mustBe('name', 'string', 'Give the name of the store.')
  mustBe('open', 'function', 'Give a function that opens an empty store.')
  mustBe('pushedWithinMs', 'number', 'Give the milliseconds that a change may take until it is pushed.')
  return own
}
