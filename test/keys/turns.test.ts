import { describe, expect, test } from 'vitest'
import { createTurns } from '../../src/keys/turns.ts'

function world(atOnce: number, patienceMs: number) {
  const begun: string[] = []
  const gaveUp: string[] = []
  let underWay = 0
  const turns = createTurns(atOnce, patienceMs, () => underWay)
  return {
    begun,
    gaveUp,
    take: (name: string) =>
      turns.take(
        () => {
          underWay += 1
          begun.push(name)
        },
        () => gaveUp.push(name),
      ),
    end: () => {
      underWay -= 1
      turns.free()
    },
    flush: turns.flush,
  }
}

describe('createTurns', () => {
  test('begins so many at once, and the others in order of arrival as one ends', () => {
    const { begun, take, end } = world(2, 1000)
    for (const name of ['a', 'b', 'c', 'd']) take(name)
    expect(begun).toEqual(['a', 'b'])
    end()
    expect(begun).toEqual(['a', 'b', 'c'])
    end()
    expect(begun).toEqual(['a', 'b', 'c', 'd'])
  })

  test('gives up whoever has waited too long, and nobody else', async () => {
    const { begun, gaveUp, take, end } = world(1, 10)
    for (const name of ['a', 'b']) take(name)
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect([begun, gaveUp]).toEqual([['a'], ['b']])
    end()
    take('c')
    expect([begun, gaveUp]).toEqual([['a', 'c'], ['b']])
  })

  test('lets all begin when it is flushed', () => {
    const { begun, take, flush } = world(1, 1000)
    for (const name of ['a', 'b', 'c']) take(name)
    flush()
    expect(begun).toEqual(['a', 'b', 'c'])
  })
})
