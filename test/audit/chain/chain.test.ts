import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createChain, type Chain } from '../../../src/audit/chain/chain.ts'
import type { AuditDraft } from '../../../src/audit/event.ts'
import type { AuditLine } from '../../../src/audit/sink.ts'
import { draft, phi } from '../../fixtures/audit.ts'

function chain(linked = true): Chain {
  return createChain({
    environment: 'live',
    service: { name: 'records', version: null, instance: 'i' },
    writer: 'w1',
    clock: { now: () => 1_700_000_000_000, monotonicMs: () => 0 },
    linked,
  })
}

function add(to: Chain, each: AuditDraft): AuditLine {
  const line = to.next(each)
  to.add(line)
  return line
}

const pseudonyms = (count: number, keyId = 'k1') =>
  Array.from({ length: count }, (_, index) => `pt_${keyId}_${String(index).padStart(22, '0')}`)
const withPatients = (count: number, keyId = 'k1') =>
  draft({ phi: phi({ patients: pseudonyms(count, keyId), patientCount: count, bulk: true }) })

describe('a chain', () => {
  test('numbers events from 1 and names the hash of the line before', () => {
    const own = chain()
    const [first, second, third] = [add(own, draft()), add(own, draft()), add(own, draft())]
    expect([first, second, third].map(({ event }) => event.seq)).toEqual([1, 2, 3])
    expect(first.event.prev).toBeNull()
    expect(second.event.prev).toBe(createHash('sha256').update(first.text).digest('hex'))
    expect(third.event.prev).toBe(createHash('sha256').update(second.text).digest('hex'))
    expect(own.length).toBe(3)
  })

  test('gives the place of a line that was not added to the next', () => {
    const own = chain()
    const first = add(own, draft())
    const lost = own.next(draft())
    const second = own.next(draft())
    expect([lost.event.seq, second.event.seq]).toEqual([2, 2])
    expect(second.event.prev).toBe(createHash('sha256').update(first.text).digest('hex'))
    expect(second.event.id).not.toBe(lost.event.id)
  })

  test('without a journal has no links', () => {
    const own = chain(false)
    add(own, draft())
    expect(add(own, draft()).event).toMatchObject({ seq: 2, prev: null })
  })
})

describe('a draft with many patients', () => {
  test.each([
    [500, [500]],
    [501, [500, 1]],
    [1200, [500, 500, 200]],
  ])('(%i) is split into lines of %j', (count, sizes) => {
    const parts = chain().split(withPatients(count))
    expect(parts.map((part) => part.phi?.patients.length)).toEqual(sizes)
    expect(parts.flatMap((part) => part.phi?.patients ?? [])).toEqual(pseudonyms(count))
    expect(parts.every((part) => part.phi?.patientCount === count && part.phi.bulk)).toBe(true)
  })

  test('is the draft itself where all fit', () => {
    const [few, none] = [withPatients(50), draft({ phi: null })]
    expect(chain().split(few)[0]).toBe(few)
    expect(chain().split(none)).toEqual([none])
  })

  test('gives lines of at most 32 KiB, however much the rest of the event takes', () => {
    const own = chain()
    const long = '医'.repeat(340)
    const list = Array.from({ length: 40 }, () => long)
    const keyId = '0123456789abcdef'
    const parts = own.split({
      ...withPatients(1000, keyId),
      actor: { kind: 'access-token', org: long, keyId: long, sub: long, jti: long, graceEnds: null, by: long },
      target: { keyId: long, org: long, fields: list },
      scopes: { granted: list, required: list },
      http: { method: 'GET', route: long, status: 200, query: list, bytes: 1 },
      requestId: long,
      operation: long,
      purpose: long,
    })
    expect(parts.length).toBeGreaterThan(2)
    expect(parts.flatMap((part) => part.phi?.patients ?? [])).toEqual(pseudonyms(1000, keyId))
    for (const part of parts) {
      const { text } = add(own, { ...part, part: { n: 2, of_id: '019abcde-0000-7000-8000-000000000000' } })
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(32_768)
    }
  })
})

describe('the parts of one event', () => {
  const part = (n: number, ofId: string) => draft({ part: { n, of_id: ofId } })

  test('have numbers that do not collide', () => {
    const own = chain()
    const numbers = [part(2, 'a'), part(2, 'a'), part(2, 'b'), part(3, 'a'), part(2, 'b'), part(9, 'a')].map(
      (each) => add(own, each).event.part?.n,
    )
    expect(numbers).toEqual([2, 3, 2, 4, 3, 9])
  })

  test('that were not added use up no number', () => {
    const own = chain()
    own.next(part(2, 'a'))
    expect(add(own, part(2, 'a')).event.part).toEqual({ n: 2, of_id: 'a' })
  })
})
