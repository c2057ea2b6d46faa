import { afterEach, describe, expect, test } from 'vitest'
import { createRevokedTokens, type Revocation, type RevokedTokens } from '../../src/tokens/revoked-tokens.ts'
import { movedClock, NOW, outcomeNow, tokenSettings, verifierOf, goodClaims, type MovedClock } from './token-world.ts'
import { rsaKey, signToken } from '../fixtures/issuer-keys.ts'

const EXP = new Date((NOW + 3600) * 1000)

interface Listed {
  readonly list: RevokedTokens
  readonly clock: MovedClock
  /** What the store holds; `null`: it is down. */
  answer: readonly Revocation[] | null
  reads: number
  /** Readings wait for this. */
  gate: Promise<void>
}

const open: RevokedTokens[] = []
afterEach(() => {
  for (const list of open.splice(0)) list.stop()
})

function listed(): Listed {
  const clock = movedClock()
  const world: Omit<Listed, 'list'> & { list?: RevokedTokens } = {
    clock,
    answer: [],
    reads: 0,
    gate: Promise.resolve(),
  }
  world.list = createRevokedTokens({
    read: async () => {
      world.reads += 1
      const { answer } = world
      await world.gate
      return answer
    },
    clock,
    cacheSeconds: 30,
    staleIfErrorSeconds: 60,
    clockToleranceSeconds: 30,
    maxLifetimeSeconds: 3600,
  })
  open.push(world.list)
  return world as Listed
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5))

describe('the list of revoked tokens', () => {
  test('is read at the first use, and then answers at once', async () => {
    const world = listed()
    world.answer = [{ tokenId: 'bad', expiresAt: EXP }]
    expect(world.reads).toBe(0)
    const first = world.list.check('bad')
    expect(first).toBeInstanceOf(Promise)
    expect(await first).toBe('revoked')
    expect([world.list.check('bad'), world.list.check('good')]).toEqual(['revoked', 'good'])
    expect(world.reads).toBe(1)
  })

  test('is read once, however many tokens wait for it', async () => {
    const world = listed()
    const check = async (index: number) => world.list.check(`t${index}`)
    const states = await Promise.all(Array.from({ length: 100 }, (_, index) => check(index)))
    expect(new Set(states)).toEqual(new Set(['good']))
    expect(world.reads).toBe(1)
  })

  test('is reread when it is 30 seconds old, without holding anybody up', async () => {
    const world = listed()
    await world.list.check('t')
    world.answer = [{ tokenId: 't', expiresAt: EXP }]
    world.clock.advance(29)
    expect(world.list.check('t')).toBe('good')
    await settled()
    expect(world.reads).toBe(1)
    world.clock.advance(1)
    expect(world.list.check('t')).toBe('good')
    await settled()
    expect([world.list.check('t'), world.reads]).toEqual(['revoked', 2])
  })

  test('while the store is down it serves for cacheSeconds + staleIfErrorSeconds, then nobody with a jti passes', async () => {
    const world = listed()
    await world.list.check('t')
    world.answer = null
    world.clock.advance(89)
    expect(world.list.check('t')).toBe('good')
    await settled()
    world.clock.advance(1)
    expect(await world.list.check('t')).toBe('unavailable')
    world.answer = []
    // One try a second.
    expect(await world.list.check('t')).toBe('unavailable')
    world.clock.advance(1)
    expect(await world.list.check('t')).toBe('good')
  })

  test('a store that was never reached is no list: unavailable, never good', async () => {
    const world = listed()
    world.answer = null
    expect(await world.list.check('t')).toBe('unavailable')
    expect(await world.list.ready()).toBe(false)
  })

  test('a pushed revocation counts at once, also before the first reading and while the store is down', async () => {
    const world = listed()
    world.answer = null
    world.list.add('t', null)
    expect(world.list.check('t')).toBe('revoked')
  })

  test('a reading that began before a push does not undo it', async () => {
    const world = listed()
    let release = () => {}
    world.gate = new Promise((resolve) => {
      release = resolve
    })
    const reading = world.list.check('other')
    world.list.add('t', null)
    release()
    await reading
    expect(world.list.check('t')).toBe('revoked')
  })

  test('an entry lives until the expiry of its token and the tolerance, a pushed one as long as a token can', async () => {
    const world = listed()
    world.answer = [{ tokenId: 'read', expiresAt: new Date((NOW + 600) * 1000) }]
    await world.list.check('x')
    world.answer = []
    world.list.add('pushed', null)
    const states = async (seconds: number) => {
      world.clock.advance(seconds)
      await world.list.check('x')
      await settled()
      return [await world.list.check('read'), await world.list.check('pushed')]
    }
    expect(await states(629)).toEqual(['revoked', 'revoked'])
    expect(await states(1)).toEqual(['good', 'revoked'])
    expect(await states(3659 - 630)).toEqual(['good', 'revoked'])
    expect(await states(1)).toEqual(['good', 'good'])
  })

  test('a feed that comes back is followed by a reading, also where one was under way', async () => {
    const world = listed()
    await world.list.check('t')
    world.answer = [{ tokenId: 't', expiresAt: EXP }]
    world.list.resumed()
    await settled()
    expect([world.list.check('t'), world.reads]).toEqual(['revoked', 2])

    let release = () => {}
    world.gate = new Promise((resolve) => {
      release = resolve
    })
    world.clock.advance(31)
    void world.list.check('u')
    world.answer = [{ tokenId: 'u', expiresAt: EXP }]
    world.list.resumed()
    release()
    await settled()
    expect([world.list.check('u'), world.reads]).toEqual(['revoked', 4])
  })

  test('by itself it is reread within a real second of its time', async () => {
    const world = listed()
    await world.list.check('t')
    world.answer = [{ tokenId: 't', expiresAt: EXP }]
    world.clock.advance(30)
    await expect.poll(() => world.reads, { timeout: 3000 }).toBe(2)
    world.list.stop()
    world.clock.advance(60)
    await new Promise((resolve) => setTimeout(resolve, 1200))
    expect(world.reads).toBe(2)
  })
})

describe('a verifier with the list', () => {
  const key = rsaKey('rsa')
  const token = (claims: object) => signToken(goodClaims(claims), key)
  const verifier = (state: 'good' | 'revoked' | 'unavailable') =>
    verifierOf(tokenSettings([key.jwk]), { revoked: (tokenId) => (tokenId === 'tok_1' ? state : 'good') })

  test.each<readonly [state: 'good' | 'revoked' | 'unavailable', outcome: string]>([
    ['good', 'accepted'],
    ['revoked', 'jwt_revoked'],
    ['unavailable', 'store_unavailable'],
  ])('%s: %s, also of a token that it has in its cache', (state, outcome) => {
    let now: typeof state = 'good'
    const cached = verifierOf(tokenSettings([key.jwk]), { revoked: () => now })
    const text = token({ jti: 'tok_1' })
    expect(outcomeNow(cached.verify(text))).toBe('accepted')
    now = state
    expect(outcomeNow(cached.verify(text))).toBe(outcome)
    expect(outcomeNow(verifier(state).verify(text))).toBe(outcome)
  })

  test('a token without jti is not asked about', () => {
    const own = verifierOf(tokenSettings([key.jwk]), { revoked: () => 'unavailable' })
    expect(outcomeNow(own.verify(token({})))).toBe('accepted')
  })

  test('a revoked token is named, and has cost a signature check only where it was checked', () => {
    const own = verifier('revoked')
    const found = own.verify(token({ jti: 'tok_1', client_id: 'key_1' }))
    expect(found).toMatchObject({ reason: 'jwt_revoked', cost: true, actor: { tokenId: 'tok_1', keyId: 'key_1' } })
    expect(own.verify(token({ jti: 'tok_1', client_id: 'key_1' }))).toMatchObject({
      reason: 'jwt_revoked',
      cost: false,
    })
  })
})
