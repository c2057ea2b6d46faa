import { EventEmitter } from 'node:events'
import { describe, expect, test } from 'vitest'
import { bearErrorsOf, guardPool } from '../../src/lib/pool-guard.ts'

/** As pg-pool does: a connection is told of before anybody is handed it, and its own listener is then taken away. */
function connected(pool: EventEmitter): EventEmitter {
  const client = new EventEmitter()
  pool.emit('connect', client)
  return client
}

const broken = (emitter: EventEmitter) => () => emitter.emit('error', new Error('57P01'))

describe('a guarded pool', () => {
  test('survives a connection whose first message is followed at once by its end', () => {
    const pool = new EventEmitter()
    guardPool(pool)
    expect(broken(connected(pool))).not.toThrow()
    expect(broken(pool)).not.toThrow()
  })

  test('listens once for all that stand on it, and not after the last', () => {
    const pool = new EventEmitter()
    const ends = [guardPool(pool), guardPool(pool)]
    expect([pool.listenerCount('error'), pool.listenerCount('connect')]).toEqual([1, 1])
    ends[0]?.()
    expect(broken(pool)).not.toThrow()
    ends[1]?.()
    expect([pool.listenerCount('error'), pool.listenerCount('connect')]).toEqual([0, 0])
    expect(broken(pool)).toThrow('57P01')
  })

  test('may have no events at all', () => {
    expect(() => guardPool({})()).not.toThrow()
  })
})

test('a connection has one listener, however often it is used, and keeps it when it is given up', () => {
  const client = new EventEmitter()
  for (let use = 0; use < 20; use += 1) bearErrorsOf(client)
  expect(client.listenerCount('error')).toBe(1)
  expect(broken(client)).not.toThrow()
})
