import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { requestIdFrom } from '../../src/request/request-id.ts'

const make = () => 'req_made'

describe('requestIdFrom', () => {
  test.each<[id: string, kept: boolean]>([
    ['a', true],
    ['req_abc123xyz', true],
    ['7f3c1c1e-4a52-4a0c-9d86-2f2f6f0c1b11', true],
    ['a.b.c', true],
    ['...', true],
    ['x'.repeat(64), true],
    ['eyJ', true],
    ['eyJhbGciOi.only-one-dot', true],
    ['a.b.eyJ', true],
    ['EYJx.y.z', true],
    ['hc_live', true],
    ['hc_other_sk_1', true],
    ['__proto__', true],
    ['', false],
    ['x'.repeat(65), false],
    ['a b', false],
    ['a,b', false],
    ['a/b', false],
    ['a:b', false],
    ['a\n', false],
    ['a\r\nSet-Cookie: x', false],
    ['é', false],
    ['"a"', false],
    ['{}', false],
    ['hc_live_sk_AbC12xYz9kLmNpQr', false],
    ['x-hc_test_sk_1', false],
    ['HC_LIVE_', false],
    ['Hc_TeSt_sk', false],
    ['eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln', false],
    ['x.eyJhbGciOi.a.b', false],
    ['eyJ..', false],
  ])('keeps %j: %s', (id, kept) => {
    expect(requestIdFrom(['Host', 'x', 'X-Request-Id', id], make)).toBe(kept ? id : 'req_made')
  })

  test('makes one where there is none, or more than one', () => {
    expect(requestIdFrom([], make)).toBe('req_made')
    expect(requestIdFrom(['X-Request-ID', 'a', 'x-request-id', 'a'], make)).toBe('req_made')
    expect(requestIdFrom(['x-request-id', 'a'], make)).toBe('a')
  })

  test('whatever comes, the id is of the documented alphabet and length', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string({ unit: fc.constantFrom('a', '_', '.', '-', ' ', 'é', 'hc_live_', 'eyJ', '\n'), maxLength: 80 }),
        ),
        (id) => {
          expect(requestIdFrom(['X-Request-Id', id], make)).toMatch(/^[A-Za-z0-9._-]{1,64}$/)
        },
      ),
    )
  })
})
