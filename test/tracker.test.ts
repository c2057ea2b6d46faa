import { describe, expect, test } from 'vitest'
import { createTracker } from '../src/tracker.ts'

/** Whether the promise is settled by the end of this turn of the event loop. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  void promise.then(() => {
    settled = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  return settled
}

describe('what is under way', () => {
  test('is waited for once it is closed, until it is recorded', async () => {
    const tracker = createTracker()
    const [open, closed] = [tracker.opened(), tracker.opened()]
    expect(await isSettled(tracker.settled())).toBe(true)
    closed.closed()
    const waiting = tracker.settled()
    expect(await isSettled(waiting)).toBe(false)
    closed.recorded()
    expect(await isSettled(waiting)).toBe(true)
    open.recorded()
  })

  test('that is closed later is nothing that an earlier flush waits for', async () => {
    const tracker = createTracker()
    const late = tracker.opened()
    const waiting = tracker.settled()
    late.closed()
    expect(await isSettled(waiting)).toBe(true)
  })

  test('keeps nobody waiting who says it is recorded before it says it is closed', async () => {
    const tracker = createTracker()
    const ticket = tracker.opened()
    ticket.recorded()
    ticket.closed()
    expect(await isSettled(tracker.settled())).toBe(true)
    expect(await isSettled(tracker.idle(10_000))).toBe(true)
  })

  test('counts once, however often it is said to be recorded', async () => {
    const tracker = createTracker()
    const [one, other] = [tracker.opened(), tracker.opened()]
    one.recorded()
    one.recorded()
    const idle = tracker.idle(10_000)
    expect(await isSettled(idle)).toBe(false)
    other.recorded()
    expect(await isSettled(idle)).toBe(true)
  })

  test('is waited for no longer than the deadline', async () => {
    const tracker = createTracker()
    tracker.opened()
    const from = performance.now()
    await tracker.idle(50)
    expect(performance.now() - from).toBeGreaterThan(45)
  })
})
