import { describe, expect, test } from 'vitest'
import { createWatchers } from '../../src/lib/watchers.ts'

describe('watchers', () => {
  test('are told each as often as they were added, until they leave', () => {
    const watchers = createWatchers<string>()
    const heard: string[] = []
    const on = (news: string) => void heard.push(news)
    const leave = watchers.add(on)
    watchers.add(on)
    watchers.tell('a')
    expect([leave(), leave(), watchers.count()]).toEqual([true, false, 1])
    watchers.tell('b')
    watchers.clear()
    watchers.tell('c')
    expect(heard).toEqual(['a', 'a', 'b'])
  })

  test('hear although one of them throws, and who tells does not notice', () => {
    const watchers = createWatchers<string>()
    const heard: string[] = []
    watchers.add(() => {
      throw new Error('mine')
    })
    watchers.add((news) => void heard.push(news))
    expect(() => watchers.tell('a')).not.toThrow()
    expect(heard).toEqual(['a'])
  })
})
