import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createRemoteKeySet } from '../../src/tokens/remote-key-set.ts'
import type { Keys, KeySet } from '../../src/tokens/key-set.ts'
import type { RemoteSettings } from '../../src/tokens/settings.ts'
import { manualClock, polluted, type ManualClock } from '../keys/parts.ts'
import { keyPair, outagesOf, publishes, startKeyServer, type Behaviour, type KeyServer } from './key-server.ts'

const A = keyPair('a')
const B = keyPair('b')
/** Where something is to wait for it; nowhere else does it matter. */
const TIMEOUT_MS = 300

let server: KeyServer
let clock: ManualClock
let set: KeySet

beforeAll(async () => {
  server = await startKeyServer(publishes(A.jwk))
})

beforeEach(() => {
  server.become(publishes(A.jwk))
  clock = manualClock()
  set = setOf()
})

afterAll(() => server.close())

function setOf(more: Partial<RemoteSettings> = {}): KeySet {
  const settings: RemoteSettings = {
    kind: 'remote',
    url: new URL(server.url),
    cooldownSeconds: 5,
    maxAgeSeconds: 600,
    maxStaleSeconds: 86_400,
    timeoutMs: 15_000,
    fetch,
    ...more,
  }
  return createRemoteKeySet(settings, ['RS256'], clock)
}

const kids = (keys: Keys | 'none') => (keys === null || keys === 'none' ? keys : keys.map(({ kid }) => kid))
const current = async () => kids(await set.current())
const newer = async () => kids(await set.newer())
const wait = (seconds: number) => clock.advance(seconds * 1000)

/** Runs, and says how often the URL was asked meanwhile. */
async function fetches(run: () => Promise<unknown>): Promise<number> {
  const before = server.fetches()
  await run()
  return server.fetches() - before
}

/** Whatever was begun in the background has come to its end. */
const background = () => vi.waitFor(async () => expect(set.health().ageSeconds).toBe(0), { interval: 5, timeout: 5000 })

describe('a usable set', () => {
  test('is fetched at first use, once for all who ask at once, and is at hand from then on', async () => {
    expect(set.health()).toEqual({ source: 'remote', keys: 0, ageSeconds: null, degraded: false })
    expect(await fetches(() => Promise.all(Array.from({ length: 1000 }, current)))).toBe(1)
    expect(set.current()).not.toBeInstanceOf(Promise)
    expect(await current()).toEqual(['a'])
    wait(7)
    expect(set.health()).toEqual({ source: 'remote', keys: 1, ageSeconds: 7, degraded: false })
  })

  test('is fetched by ready, which says when it cannot be had', async () => {
    expect(await fetches(() => set.ready(AbortSignal.timeout(5000)))).toBe(1)
    server.become((response) => response.destroy())
    set = setOf()
    await expect(set.ready(AbortSignal.timeout(5000))).rejects.toThrow('No usable key set could be fetched.')
    expect(set.health()).toMatchObject({ keys: 0, degraded: true })
    set = setOf({ timeoutMs: 60_000, fetch: () => new Promise(() => undefined) })
    await expect(set.ready(AbortSignal.timeout(20))).rejects.toThrow('No key set was fetched in time.')
  })

  test('is fetched in the background from half of its age on, once, and nobody waits', async () => {
    set = setOf({ timeoutMs: TIMEOUT_MS })
    await current()
    server.become(() => undefined)
    clock.advance(299_999)
    expect(await fetches(current)).toBe(0)
    clock.advance(1)
    const before = server.fetches()
    for (let call = 0; call < 100; call += 1) expect(set.current()).not.toBeInstanceOf(Promise)
    await vi.waitFor(() => expect(server.fetches() - before).toBe(1))
    // The attempt fails, and another one is due after the cooldown alone.
    await vi.waitFor(() => expect(set.health().degraded).toBe(true), { timeout: 5000 })
    for (let call = 0; call < 100; call += 1) expect(await current()).toEqual(['a'])
    clock.advance(4999)
    await current()
    expect(server.fetches() - before).toBe(1)
    server.become(publishes(A.jwk, B.jwk))
    clock.advance(1)
    expect(await current()).toEqual(['a'])
    await background()
    expect(await current()).toEqual(['a', 'b'])
    expect([server.fetches() - before, set.health().degraded]).toEqual([2, false])
  })

  test('keeps the keys that it still holds as the objects that they were', async () => {
    const [old] = (await set.current()) ?? []
    server.become(publishes(B.jwk, A.jwk))
    wait(600)
    expect((await set.current())?.[1]).toBe(old)
    server.become(publishes({ ...B.jwk, kid: 'a' }))
    wait(600)
    expect((await set.current())?.[0]).not.toBe(old)
  })

  test('may hold keys beside it that are of no use', async () => {
    server.become(
      publishes(
        null as never,
        { ...B.jwk, n: '!' },
        { ...B.jwk, use: 'enc' },
        { kty: 'oct', kid: 'c', k: 'AAAA' },
        A.jwk,
      ),
    )
    expect(await current()).toEqual(['a'])
  })

  test('is as old as the question for it, not as its answer', async () => {
    server.become((response) => {
      wait(2)
      publishes(A.jwk)(response)
    })
    await current()
    expect(set.health().ageSeconds).toBe(2)
  })
})

describe('asked for a key that it does not hold', () => {
  test('it waits for the fetch that is under way, and starts none beside it', async () => {
    await current()
    wait(300)
    const { promise: opened, resolve: open } = withResolvers()
    server.become((response) => void opened.then(() => publishes(A.jwk, B.jwk)(response)))
    const count = await fetches(async () => {
      await current()
      const asked = newer()
      open()
      expect(await asked).toEqual(['a', 'b'])
    })
    expect(count).toBe(1)
  })
})

describe('a URL that', () => {
  test('answers more than 1 MiB is not listened to any longer; up to there it is', async () => {
    const padded =
      (length: number): Behaviour =>
      (response) => {
        const text = JSON.stringify({ keys: [A.jwk] })
        response.end(text + ' '.repeat(length - text.length))
      }
    const [, huge = () => undefined] = outagesOf([A.jwk]).find(([what]) => what.includes('10 MiB')) ?? []
    const before = server.cutOff()
    server.become(huge)
    expect(await current()).toBeNull()
    await vi.waitFor(() => expect(server.cutOff()).toBe(before + 1), { timeout: 5000 })
    wait(5)
    server.become(padded(1_048_577))
    expect(await current()).toBeNull()
    wait(5)
    server.become(padded(1_048_576))
    expect(await current()).toEqual(['a'])
  })
})

describe('with a polluted Object.prototype', () => {
  // What the platform itself trips over costs a fetch, and no decision: the set in force stays.
  test.each([{ body: 'x' }, { d: 'AAAA' }])('with %o nothing is taken that is not in the set', async (members) => {
    await current()
    server.become(publishes(B.jwk))
    wait(600)
    expect(['a', 'b']).toContain((await polluted(members, current))?.[0])
  })

  test('keys of the URL alone are taken, and it alone is asked', async () => {
    const rogue = await startKeyServer(publishes(B.jwk))
    try {
      const members = { keys: [B.jwk], kid: 'b', method: 'POST', redirect: 'follow', use: 'enc', key_ops: [] }
      server.become((response) => response.writeHead(302, { Location: rogue.url }).end())
      expect(await polluted(members, current)).toBeNull()
      server.become((response) => response.end('{}'))
      wait(5)
      expect(await polluted(members, current)).toBeNull()
      server.become(publishes({ ...A.jwk, kid: undefined }))
      wait(5)
      expect(await polluted(members, current)).toEqual([null])
      expect(rogue.fetches()).toBe(0)
    } finally {
      await rogue.close()
    }
  })
})

function withResolvers() {
  let resolve = () => undefined as void
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve: () => resolve() }
}
