import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createDivision, type Taking } from '../../src/lib/division.ts'

const NEVER = new AbortController().signal

interface World {
  readonly items: readonly string[]
  /** For which a whole message is refused. */
  readonly poison: ReadonlySet<string>
  /** Which the receiver takes the message of, but not them. */
  readonly unwanted: ReadonlySet<string>
  /** Which messages fail, and whether the receiver has them nevertheless. */
  readonly failures: readonly ('none' | 'before' | 'after')[]
}

const worlds: fc.Arbitrary<World> = fc
  .tuple(
    fc.array(fc.constantFrom('good', 'good', 'poison', 'unwanted'), { maxLength: 40 }),
    fc.array(fc.constantFrom('none', 'before', 'after'), { maxLength: 60 }),
  )
  .map(([kinds, failures]) => {
    // Who is refused everything from some time on waits for something good: there is always one more event.
    const items = [...kinds, 'good'].map((kind, at) => `${kind} ${at}`)
    const of = (kind: string) => new Set(items.filter((item) => item.startsWith(kind)))
    return { items, poison: of('poison'), unwanted: of('unwanted'), failures }
  })

/** A receiver that knows a message that it has had by its first and its last item. */
function receiverOf({ poison, unwanted, failures }: World) {
  const kept: string[] = []
  const known = new Set<string>()
  const left = [...failures]
  const send = (list: readonly string[]): Promise<Taking> => {
    const failure = left.shift() ?? 'none'
    if (failure === 'before') return Promise.reject(new Error('before'))
    const refuses = list.some((item) => poison.has(item))
    const key = `${list[0]} ${list.at(-1)}`
    if (!refuses && !known.has(key)) kept.push(...list.filter((item) => !unwanted.has(item)))
    known.add(key)
    if (failure === 'after') return Promise.reject(new Error('after'))
    if (refuses) return Promise.resolve({ taken: false, reason: 'poison' })
    const refused = list.flatMap((item, at) => (unwanted.has(item) ? [{ at, reason: 'unwanted' }] : []))
    return Promise.resolve({ taken: true, refused })
  }
  return { kept, send }
}

test('each good item is kept once and in order, every other is refused by its reason, whatever fails, however the list grows', async () => {
  await fc.assert(
    fc.asyncProperty(worlds, fc.array(fc.nat(10), { maxLength: 60 }), async (world, growth) => {
      const { items } = world
      const { kept, send } = receiverOf(world)
      const divide = createDivision({ what: 'X', keyOf: (item: string) => item, send })
      const refusals: (readonly [string, string])[] = []
      let from = 0
      let length = 1
      for (let attempt = 0; from < items.length; attempt += 1) {
        expect(attempt).toBeLessThan(1000)
        const list = items.slice(from, from + length)
        try {
          for (const { at, reason } of await divide(list, NEVER)) refusals.push([list[at] ?? '', reason])
          from += list.length
        } catch {
          // The list comes again; meanwhile more may have been written.
        }
        length = Math.min(Math.max(length, 1) + (growth[attempt] ?? 1), Math.max(items.length - from, 1))
      }
      expect(kept).toEqual(items.filter((item) => item.startsWith('good')))
      const bad = items.filter((item) => !item.startsWith('good'))
      expect(refusals).toEqual(bad.map((item) => [item, item.split(' ')[0]]))
    }),
    { numRuns: 500 },
  )
})

test('what begins like a list that has failed and is shorter is a new one', async () => {
  const sent: string[] = []
  let down = true
  const divide = createDivision({
    what: 'X',
    keyOf: (item: string) => item,
    send: (list) => {
      sent.push(list.join(''))
      return down ? Promise.reject(new Error('down')) : Promise.resolve({ taken: true as const, refused: [] })
    },
  })
  await expect(divide(['a', 'b', 'c'], NEVER)).rejects.toThrow('down')
  down = false
  await divide(['a', 'b'], NEVER)
  expect(sent).toEqual(['abc', 'ab'])
})

test('hundreds of lists that never end are forgotten, the oldest first', async () => {
  const sent: string[] = []
  const divide = createDivision({
    what: 'X',
    keyOf: (item: string) => item,
    send: (list) => {
      sent.push(list.join(' '))
      return Promise.reject(new Error('down'))
    },
  })
  for (let n = 0; n < 257; n += 1) await expect(divide([`${n}`], NEVER)).rejects.toThrow('down')
  await expect(divide(['0', 'more'], NEVER)).rejects.toThrow('down')
  await expect(divide(['256', 'more'], NEVER)).rejects.toThrow('down')
  expect(sent.slice(-2)).toEqual(['0 more', '256'])
})
