import type { KeyStore } from '@healthcloud/auth'
import { sqliteKeyStore } from '@healthcloud/auth/stores/sqlite'

export interface DemoStores {
  /** The same store, under the demo's hand. */
  guard(store: KeyStore): KeyStore
  /** From now on, no key is found. */
  pullPlug(): void
  plugIn(): void
}

/** @throws ConfigError where there is no engine: neither node:sqlite nor the package libsql. */
export async function openStores(file: string): Promise<DemoStores> {
  let isDown = false
  const first = sqliteKeyStore(file)
  await first.ready?.(AbortSignal.timeout(5000))
  await first.close?.()
  return {
    guard: (store) => ({
      ...store,
      find: (lookup, context) =>
        isDown ? Promise.reject(new Error('the demo pulled the plug')) : store.find(lookup, context),
    }),
    pullPlug: () => {
      isDown = true
    },
    plugIn: () => {
      isDown = false
    },
  }
}
