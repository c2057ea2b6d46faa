import { describe, expect, test } from 'vitest'
import { createPlaces } from '../../src/request/places.ts'

/** Three places a group; failures take theirs for good. */
function placesOf(max = 3) {
  const failures = new Map<string, number>()
  const failed = (group: string) => failures.get(group) ?? 0
  const places = createPlaces({
    secondsOver: (group) => (failed(group) >= max ? 7 : 0),
    free: (group, taken) => failed(group) + taken < max,
    patienceMs: 1000,
  })
  return { places, fail: (group: string) => failures.set(group, failed(group) + 1) }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

/** What each attempt was told so far; `null`: it waits. */
function admit(
  places: ReturnType<typeof placesOf>['places'],
  times: number,
  group = 'a',
): (number | null | 'gave up')[] {
  const told: (number | null | 'gave up')[] = Array.from({ length: times }, () => null)
  for (let index = 0; index < times; index += 1) {
    const answer = places.admit(group)
    if (typeof answer === 'number') told[index] = answer
    else void answer.then((seconds) => (told[index] = seconds ?? 'gave up'))
  }
  return told
}

describe('createPlaces', () => {
  test('lets as many in as there are places, and the others wait', async () => {
    const { places } = placesOf()
    const told = admit(places, 5)
    await settled()
    expect(told).toEqual([0, 0, 0, null, null])
  })

  test('gives the place of one that has ended well to the first that waits', async () => {
    const { places } = placesOf()
    const told = admit(places, 5)
    places.release('a')
    await settled()
    expect(told).toEqual([0, 0, 0, 0, null])
  })

  test('refuses all that wait once the failures have used the places up', async () => {
    const { places, fail } = placesOf()
    const told = admit(places, 6)
    for (let index = 0; index < 3; index += 1) {
      fail('a')
      places.release('a')
    }
    await settled()
    expect(told).toEqual([0, 0, 0, 7, 7, 7])
    expect(places.admit('a')).toBe(7)
  })

  test('keeps whoever comes later behind those that wait', async () => {
    const { places } = placesOf(1)
    const first = admit(places, 2)
    const later = admit(places, 1)
    places.release('a')
    await settled()
    expect([first, later]).toEqual([[0, 0], [null]])
    places.release('a')
    await settled()
    expect(later).toEqual([0])
  })

  test('counts each group by itself', async () => {
    const { places } = placesOf(1)
    expect([places.admit('a'), places.admit('b')]).toEqual([0, 0])
  })

  test('lets one in even where no place is free by the count, so that nobody waits for nothing', () => {
    const places = createPlaces({ secondsOver: () => 0, free: () => false, patienceMs: 1000 })
    expect(places.admit('a')).toBe(0)
  })

  test('lets nobody wait for longer than anybody may, and forgets him', async () => {
    const places = createPlaces({ secondsOver: () => 0, free: (_group, taken) => taken < 1, patienceMs: 20 })
    const told = admit(places, 3)
    await new Promise((resolve) => setTimeout(resolve, 40))
    expect(told).toEqual([0, 'gave up', 'gave up'])
    places.release('a')
    expect(places.admit('a')).toBe(0)
  })
})
