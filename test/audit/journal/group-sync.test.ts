import { describe, expect, test } from 'vitest'
import { createGroupSync } from '../../../src/audit/journal/group-sync.ts'

/** A disk that answers when the test says so. */
function slowDisk() {
  const flushes: ((good: boolean) => void)[] = []
  return {
    flushes,
    flush: () =>
      new Promise<boolean>((resolve) => {
        flushes.push(resolve)
      }),
  }
}

const turn = () =>
  new Promise((resolve) => {
    setImmediate(resolve)
  })

describe('a group sync', () => {
  test('serves all who come while a flush is under way with one further flush', async () => {
    const disk = slowDisk()
    const group = createGroupSync({ flush: disk.flush, deadlineMs: 1000 })
    const first = group.wait()
    const later = [group.wait(), group.wait(), group.wait()]
    expect(disk.flushes).toHaveLength(1)
    disk.flushes[0]?.(true)
    expect(await first).toBe(true)
    await turn()
    expect(disk.flushes).toHaveLength(2)
    disk.flushes[1]?.(true)
    expect(await Promise.all(later)).toEqual([true, true, true])
    await turn()
    expect(disk.flushes).toHaveLength(2)
  })

  test('does not let who comes during a flush share its answer: his line may not be in it', async () => {
    const disk = slowDisk()
    const group = createGroupSync({ flush: disk.flush, deadlineMs: 1000 })
    const first = group.wait()
    const second = group.wait()
    disk.flushes[0]?.(true)
    await first
    await turn()
    disk.flushes[1]?.(false)
    expect(await second).toBe(false)
  })

  test('tells all who wait after the deadline, refuses at once while the disk hangs, and goes on when it answers', async () => {
    const disk = slowDisk()
    const group = createGroupSync({ flush: disk.flush, deadlineMs: 30 })
    expect(await Promise.all([group.wait(), group.wait()])).toEqual([false, false])
    expect(group.stalled).toBe(true)
    expect(await group.wait()).toBe(false)
    expect(disk.flushes).toHaveLength(1)
    disk.flushes[0]?.(true)
    await turn()
    expect(group.stalled).toBe(false)
    const after = group.wait()
    disk.flushes.at(-1)?.(true)
    expect(await after).toBe(true)
  })
})
