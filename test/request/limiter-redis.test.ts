import { randomBytes } from 'node:crypto'
import { createClient } from '@redis/client'
import { Redis } from 'ioredis'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { AuthOptions } from '../../src/index.ts'
import { FRAMEWORKS } from '../http/frameworks.ts'
import { openWorld, type OutageWorld } from '../http/outage-world.ts'
import { key16 } from '../http/world.ts'
import { newKey, NO_FEED, recordOf, spied } from '../keys/parts.ts'
import { answersPing } from '../stores/redis-engine.ts'
import { REDIS } from '../stores/redis-clients.ts'

const reachable = await answersPing(REDIS.host, REDIS.port)
/** In CI an engine that is missing is a failure. */
const skip = !reachable && process.env['CI'] === undefined

const WINDOW_SECONDS = 30

interface Limiting {
  readonly limiter: RateLimiterRedis
  close(): void
}

/** A limiter whose counters nobody else has; they end by themselves. */
type MakeLimiter = (points: number, name?: string) => Promise<Limiting>

const newName = () => `hc-test-${randomBytes(6).toString('hex')}`

const ioredis: MakeLimiter = async (points, name = newName()) => {
  const client = new Redis(REDIS.url, { lazyConnect: true })
  await client.connect()
  const limiter = new RateLimiterRedis({ storeClient: client, points, duration: WINDOW_SECONDS, keyPrefix: name })
  return closing(limiter, () => client.disconnect())
}

const nodeRedis: MakeLimiter = async (points, name = newName()) => {
  const client = createClient({ url: REDIS.url })
  await client.connect()
  const options = { storeClient: client, points, duration: WINDOW_SECONDS, keyPrefix: name, useRedisPackage: true }
  return closing(new RateLimiterRedis(options), () => client.destroy())
}

function closing(limiter: RateLimiterRedis, close: () => void): Limiting {
  onTestFinished(close)
  return { limiter, close }
}

const LIMITERS: readonly (readonly [string, MakeLimiter])[] = [
  ['ioredis', ioredis],
  ['node-redis', nodeRedis],
]

const CACHED = newKey()
const KNOWN = newKey()

/** An Express server with two keys, behind one proxy, so that a caller may come from any address. */
async function serverWith(failures: AuthOptions['failures']): Promise<OutageWorld> {
  const [framework] = FRAMEWORKS
  if (framework === undefined) throw new RangeError('no framework')
  const world = await openWorld(framework, {
    keys: { store: spied([recordOf(CACHED), recordOf(KNOWN)], { can: NO_FEED }).store },
    transport: { https: 'off', trustedProxies: 1 },
    failures,
  })
  onTestFinished(() => world.close())
  return world
}

const HERE = { 'X-Forwarded-For': '198.51.100.7' }
const ELSEWHERE = { 'X-Forwarded-For': '198.51.100.8' }

/** Unknown keys one after the other until one is refused without a look-up; how many were looked up. */
async function failUntilRefused({ outcome }: OutageWorld): Promise<number> {
  for (let failures = 0; failures < 50; failures += 1) {
    const refused = await outcome(key16(), HERE)
    if (refused === '429 rate_limited') return failures
    expect(refused).toBe('401 key_unknown')
  }
  throw new Error('never refused')
}

describe.skipIf(skip).each(LIMITERS)('failures counted by RateLimiterRedis on %s', (_, make) => {
  test('over budget: a key that is not cached is 429, cached ones and other addresses are as ever', async () => {
    const world = await serverWith({ max: 1000, limiter: (await make(5)).limiter })
    expect(await world.outcome(CACHED, HERE)).toBe('200 null')
    // The sixth is over; a verdict that is still on its way lets one or two pass.
    expect(await failUntilRefused(world)).toBeGreaterThanOrEqual(6)

    const refused = await world.call(KNOWN, HERE)
    expect(refused).toMatchObject({ status: 429, code: 'RATE_LIMITED' })
    expect(Number(refused.retryAfter)).toBeGreaterThan(0)
    expect(Number(refused.retryAfter)).toBeLessThanOrEqual(WINDOW_SECONDS)
    expect(await world.outcome(CACHED, HERE)).toBe('200 null')
    expect(await world.outcome('hc_live_sk_short', HERE)).toBe('401 key_malformed')
    expect(await world.outcome(KNOWN, ELSEWHERE)).toBe('200 null')
    expect(await world.outcome(key16(), ELSEWHERE)).toBe('401 key_unknown')
  })

  test('two servers share one budget', async () => {
    const name = newName()
    const [first, second] = [
      await serverWith({ max: 1000, limiter: (await make(5, name)).limiter }),
      await serverWith({ max: 1000, limiter: (await make(5, name)).limiter }),
    ]
    expect(await failUntilRefused(first)).toBeGreaterThanOrEqual(6)
    expect(await second.outcome(key16(), HERE)).toBe('401 key_unknown')
    await vi.waitFor(async () => expect(await second.outcome(key16(), HERE)).toBe('429 rate_limited'))
    expect(await second.outcome(KNOWN, ELSEWHERE)).toBe('200 null')
  })

  test('as long as Redis answers its verdict counts, and the own count, kept all along, when it is gone', async () => {
    const { limiter, close } = await make(1000)
    const world = await serverWith({ max: 3, limiter })
    expect(await world.outcome(key16(), HERE)).toBe('401 key_unknown')
    await vi.waitFor(async () => expect((await limiter.get('198.51.100.7'))?.consumedPoints).toBe(1))
    for (let count = 0; count < 5; count += 1) expect(await world.outcome(key16(), HERE)).toBe('401 key_unknown')
    close()
    expect(await failUntilRefused(world)).toBeLessThanOrEqual(3)
    expect(await world.outcome(KNOWN, ELSEWHERE)).toBe('200 null')
  })

  test('that never answered: the own count decides from the first failure', async () => {
    const { limiter, close } = await make(1000)
    close()
    const world = await serverWith({ max: 3, limiter })
    expect(await failUntilRefused(world)).toBe(3)
    expect(await world.outcome(KNOWN, HERE)).toBe('429 rate_limited')
    expect(await world.outcome(KNOWN, ELSEWHERE)).toBe('200 null')
  })
})
