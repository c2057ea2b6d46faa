import { RateLimiterMemory } from 'rate-limiter-flexible'
import { describe, expect, test } from 'vitest'
import { createFailureBudget, type FailureBudget } from '../../src/request/failures.ts'
import type { Limiter } from '../../src/request/limiter.ts'

function movedClock() {
  let ms = 0.1
  return {
    now: () => 0,
    monotonicMs: () => ms,
    advance: (seconds: number) => {
      ms += seconds * 1000
    },
  }
}

function budgetOf(settings: { max?: number; windowSeconds?: number; limiter?: Limiter } = {}) {
  const clock = movedClock()
  return { clock, budget: createFailureBudget({ max: 3, windowSeconds: 60, ...settings, clock }) }
}

function fail(budget: FailureBudget, address: string | null, times: number): void {
  for (let turn = 0; turn < times; turn += 1) budget.count(address)
}

/** Lets every promise that can settle by itself do so. */
const settle = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve)
  })

describe('createFailureBudget', () => {
  test('is over once the last allowed failure was counted, until the window that the first opened ends', () => {
    const { budget, clock } = budgetOf()
    fail(budget, '203.0.113.9', 2)
    expect(budget.over('203.0.113.9')).toBe(0)
    clock.advance(10)
    budget.count('203.0.113.9')
    expect(budget.over('203.0.113.9')).toBe(50)
    clock.advance(49.5)
    expect(budget.over('203.0.113.9')).toBe(1)
    fail(budget, '203.0.113.9', 50)
    expect(budget.over('203.0.113.9')).toBe(1)
    clock.advance(0.5)
    expect(budget.over('203.0.113.9')).toBe(0)
    fail(budget, '203.0.113.9', 3)
    expect(budget.over('203.0.113.9')).toBe(60)
  })

  test.each<[failing: string | null, asking: string | null, over: boolean]>([
    ['203.0.113.9', '203.0.113.9', true],
    ['203.0.113.9', '203.0.113.10', false],
    ['203.0.113.9', null, false],
    [null, null, true],
    [null, '203.0.113.9', false],
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9', true],
    ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
    ['::ffff:203.0.113.9', '203.0.113.9', true],
  ])('failures of %s put %s over budget: %s', (failing, asking, over) => {
    const { budget } = budgetOf()
    fail(budget, failing, 3)
    expect(budget.over(asking)).toBe(over ? 60 : 0)
  })

  test('takes no limiter from Object.prototype', async () => {
    let asked = 0
    Reflect.set(Object.prototype, 'limiter', { consume: () => Promise.resolve((asked += 1)) })
    try {
      const { budget } = budgetOf()
      fail(budget, '203.0.113.9', 3)
      await settle()
      expect([asked, budget.over('203.0.113.9')]).toEqual([0, 60])
    } finally {
      Reflect.deleteProperty(Object.prototype, 'limiter')
    }
  })

  const tenNet = (index: number): string => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`

  test('remembers 100,000 addresses; the one whose window opened first makes room', () => {
    const { budget } = budgetOf({ max: 1 })
    for (let index = 0; index <= 100_000; index += 1) budget.count(tenNet(index))
    expect(budget.over('10.0.0.0')).toBe(0)
    expect(budget.over('10.0.0.1')).toBe(60)
    expect(budget.over('10.1.134.160')).toBe(60)
  })

  test('an address that fails again in a new window counts as new', () => {
    const { budget, clock } = budgetOf({ max: 1 })
    for (let index = 0; index < 100_000; index += 1) budget.count(tenNet(index))
    clock.advance(60)
    budget.count('10.0.0.0')
    budget.count('203.0.113.9')
    expect(budget.over('10.0.0.0')).toBe(60)
  })
})

describe('with a limiter', () => {
  test('that says within, failures of our own count do not make look-ups wait for one another', async () => {
    const { budget } = budgetOf({ limiter: { consume: () => Promise.resolve() } })
    fail(budget, '203.0.113.9', 50)
    await settle()
    expect([budget.admit('203.0.113.9'), budget.admit('203.0.113.9'), budget.admit('203.0.113.9')]).toEqual([0, 0, 0])
    const fourth = budget.admit('203.0.113.9')
    budget.release('203.0.113.9')
    expect(await fourth).toBe(0)
  })

  test('rate-limiter-flexible decides, by group, for as long as it says', async () => {
    const limiter = new RateLimiterMemory({ points: 5, duration: 30 })
    const { budget, clock } = budgetOf({ limiter })
    fail(budget, '2001:db8::1', 5)
    await settle()
    expect(budget.over('2001:db8::1')).toBe(0)
    budget.count('2001:db8::2')
    await settle()
    expect(budget.over('2001:db8::1')).toBe(30)
    expect(budget.over('203.0.113.9')).toBe(0)
    const consumed = await limiter.get('2001:db8::/64')
    expect(consumed?.consumedPoints).toBe(6)
    clock.advance(30)
    expect(budget.over('2001:db8::1')).toBe(0)
  })

  const rejections: readonly [label: string, reason: () => unknown, seconds: number][] = [
    ['an own number', () => ({ msBeforeNext: 12_001 }), 13],
    [
      'a getter of its class',
      () =>
        new (class {
          get msBeforeNext() {
            return 5_000
          }
        })(),
      5,
    ],
    ['no number', () => ({ msBeforeNext: '9' }), 60],
    ['not a finite one', () => ({ msBeforeNext: Number.POSITIVE_INFINITY }), 60],
    ['not a positive one', () => ({ msBeforeNext: -1 }), 60],
    ['longer than a day', () => ({ msBeforeNext: 1e15 }), 86_400],
    ['undefined', () => undefined, 60],
    ['false', () => false, 60],
    ['a text', () => 'over', 60],
  ]
  test.each(rejections)('a rejection with %s means over', async (_, reason, seconds) => {
    const { budget } = budgetOf({ limiter: { consume: () => Promise.reject(reason()) } })
    budget.count('203.0.113.9')
    await settle()
    expect(budget.over('203.0.113.9')).toBe(seconds)
    expect(budget.over('203.0.113.10')).toBe(0)
  })

  test('a member planted on Object.prototype says nothing', async () => {
    const { budget } = budgetOf({ limiter: { consume: () => Promise.reject({}) } })
    Reflect.set(Object.prototype, 'msBeforeNext', 1)
    try {
      budget.count('203.0.113.9')
      await settle()
      expect(budget.over('203.0.113.9')).toBe(60)
    } finally {
      Reflect.deleteProperty(Object.prototype, 'msBeforeNext')
    }
  })

  const down: readonly [label: string, consume: () => Promise<unknown>][] = [
    ['rejects with an Error', () => Promise.reject(new Error('ECONNREFUSED'))],
    ['rejects with a subclass', () => Promise.reject(new TypeError('x'))],
    ['rejects with an Error of another realm', () => Promise.reject(Object.setPrototypeOf(new Error('x'), null))],
    [
      'throws',
      () => {
        throw new Error('not connected')
      },
    ],
    [
      'rejects with a hostile object',
      () =>
        Promise.reject(
          new Proxy(
            {},
            {
              getPrototypeOf: () => {
                throw new Error('trap')
              },
            },
          ),
        ),
    ],
    ['never settles', () => new Promise(() => {})],
  ]
  test.each(down)('one that %s is down, and the own count decides', async (_, consume) => {
    const { budget } = budgetOf({ limiter: { consume } })
    fail(budget, '203.0.113.9', 2)
    await settle()
    expect(budget.over('203.0.113.9')).toBe(0)
    budget.count('203.0.113.9')
    await settle()
    expect(budget.over('203.0.113.9')).toBe(60)
  })

  test('one that goes down is replaced by the own count of all along, and decides again when it is back', async () => {
    let state: 'up' | 'down' = 'up'
    const consume = (): Promise<unknown> => (state === 'up' ? Promise.resolve(1) : Promise.reject(new Error('down')))
    const { budget } = budgetOf({ limiter: { consume } })
    fail(budget, '203.0.113.9', 9)
    await settle()
    expect(budget.over('203.0.113.9')).toBe(0)
    state = 'down'
    budget.count('203.0.113.10')
    await settle()
    expect(budget.over('203.0.113.9')).toBe(60)
    state = 'up'
    budget.count('203.0.113.10')
    await settle()
    expect(budget.over('203.0.113.9')).toBe(0)
  })

  test('one that hangs after it answered counts as down after a second, and is not asked without end', async () => {
    let asked = 0
    const consume = (): Promise<unknown> => {
      asked += 1
      return asked === 1 ? Promise.resolve(1) : new Promise(() => {})
    }
    const { budget, clock } = budgetOf({ limiter: { consume } })
    budget.count('203.0.113.9')
    await settle()
    fail(budget, '203.0.113.9', 5_000)
    expect(budget.over('203.0.113.9')).toBe(0)
    clock.advance(1)
    expect(budget.over('203.0.113.9')).toBe(59)
    expect(asked).toBe(1_001)
    fail(budget, '203.0.113.9', 5)
    expect(asked).toBe(1_002)
  })
})
