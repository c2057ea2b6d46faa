import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileCidrs } from '../../src/lib/cidr.ts'
import { allowsPlain, readTransport, type TrustedProxies } from '../../src/request/transport.ts'

interface Request {
  readonly peer?: string | null
  readonly encrypted?: boolean
  /** One header line each. */
  readonly xff?: string | readonly string[]
  readonly proto?: string | readonly string[]
  readonly more?: readonly string[]
}

function read(
  trust: TrustedProxies,
  { peer = '10.0.0.1', encrypted = false, xff = [], proto = [], more = [] }: Request,
) {
  const lines = (name: string, values: string | readonly string[]) => [values].flat().flatMap((value) => [name, value])
  const rawHeaders = ['Host', 'x', ...lines('X-Forwarded-For', xff), ...lines('X-Forwarded-Proto', proto), ...more]
  return readTransport({ method: 'GET', url: '/', rawHeaders, peer, encrypted }, trust)
}

describe('readTransport with trustedProxies: 0', () => {
  test.each<[label: string, request: Request, expected: ReturnType<typeof readTransport>]>([
    ['plain', {}, { secure: false, address: '10.0.0.1', via: 0, forwardedSeen: false }],
    ['TLS', { encrypted: true }, { secure: true, address: '10.0.0.1', via: 0, forwardedSeen: false }],
    [
      'forwarded headers, not believed',
      { xff: '203.0.113.9', proto: 'https' },
      { secure: false, address: '10.0.0.1', via: 0, forwardedSeen: true },
    ],
    [
      'a forwarded http over TLS, not believed',
      { encrypted: true, proto: 'http' },
      { secure: true, address: '10.0.0.1', via: 0, forwardedSeen: false },
    ],
    [
      'a mapped peer',
      { peer: '::ffff:203.0.113.9' },
      { secure: false, address: '203.0.113.9', via: 0, forwardedSeen: false },
    ],
    ['a zoned peer', { peer: 'fe80::1%eth0' }, { secure: false, address: 'fe80::1', via: 0, forwardedSeen: false }],
    ['no peer', { peer: null }, { secure: false, address: null, via: 0, forwardedSeen: false }],
    ['a peer that is no address', { peer: '' }, { secure: false, address: null, via: 0, forwardedSeen: false }],
    [
      'other forwarded headers',
      { more: ['Forwarded', 'for=203.0.113.9;proto=https', 'X-Real-IP', '203.0.113.9', 'X-Forwarded-Ssl', 'on'] },
      { secure: false, address: '10.0.0.1', via: 0, forwardedSeen: false },
    ],
    [
      'the header in another case',
      { more: ['x-FORWARDED-for', '203.0.113.9'] },
      { secure: false, address: '10.0.0.1', via: 0, forwardedSeen: true },
    ],
  ])('%s', (_, request, expected) => {
    expect(read({ hops: 0 }, request)).toEqual(expected)
  })
})

type Told = [address: string | null, via: number, secure: boolean]

function told(trust: TrustedProxies, request: Request): Told {
  const { address, via, secure } = read(trust, request)
  return [address, via, secure]
}

describe('readTransport with a hop count', () => {
  test.each<[label: string, hops: number, request: Request, expected: Told]>([
    ['one proxy', 1, { xff: '203.0.113.9' }, ['203.0.113.9', 1, false]],
    ['one proxy, spoofed on the left', 1, { xff: '198.51.100.1, 203.0.113.9' }, ['203.0.113.9', 1, false]],
    ['two proxies', 2, { xff: '203.0.113.9, 10.0.0.2' }, ['203.0.113.9', 2, false]],
    ['two proxies, spoofed', 2, { xff: '198.51.100.1,203.0.113.9,10.0.0.2' }, ['203.0.113.9', 2, false]],
    ['fewer entries than hops', 2, { xff: '203.0.113.9' }, [null, 0, false]],
    ['no header', 1, {}, [null, 0, false]],
    ['an empty header', 1, { xff: '' }, [null, 0, false]],
    ['several lines', 2, { xff: ['198.51.100.1', '203.0.113.9', '10.0.0.2'] }, ['203.0.113.9', 2, false]],
    ['several lines, lists in them', 2, { xff: ['198.51.100.1, 203.0.113.9', '10.0.0.2'] }, ['203.0.113.9', 2, false]],
    ['a Unix socket', 1, { peer: null, xff: '203.0.113.9' }, ['203.0.113.9', 1, false]],
    ['spaces and tabs', 1, { xff: ' \t203.0.113.9\t ' }, ['203.0.113.9', 1, false]],
    ['a port', 1, { xff: '203.0.113.9:5123' }, ['203.0.113.9', 1, false]],
    ['brackets and a port', 1, { xff: '[2001:db8::1]:443' }, ['2001:db8::1', 1, false]],
    ['brackets', 1, { xff: '[2001:DB8::1]' }, ['2001:db8::1', 1, false]],
    ['IPv6 alone', 1, { xff: '2001:db8::1' }, ['2001:db8::1', 1, false]],
    ['a mapped address', 1, { xff: '::ffff:203.0.113.9' }, ['203.0.113.9', 1, false]],
    ['a mapped address in brackets', 1, { xff: '[::ffff:203.0.113.9]:1' }, ['203.0.113.9', 1, false]],
    ['junk', 1, { xff: 'unknown' }, [null, 0, false]],
    ['junk on the left of the client', 1, { xff: '<script>, 203.0.113.9' }, ['203.0.113.9', 1, false]],
    ['an obfuscated identifier', 1, { xff: '_hidden' }, [null, 0, false]],
    ['an empty entry', 1, { xff: '203.0.113.9,' }, [null, 0, false]],
    ['IPv4 in brackets', 1, { xff: '[203.0.113.9]' }, [null, 0, false]],
    ['an open bracket', 1, { xff: '[2001:db8::1' }, [null, 0, false]],
    ['a port without number', 1, { xff: '203.0.113.9:' }, [null, 0, false]],
    ['a quoted entry', 1, { xff: '"203.0.113.9"' }, [null, 0, false]],
    ['octal-looking', 1, { xff: '0203.0.113.9' }, [null, 0, false]],
    ['a non-breaking space', 1, { xff: '\u00a0203.0.113.9' }, [null, 0, false]],
    ['64 entries', 1, { xff: `${'1.1.1.1,'.repeat(63)}203.0.113.9` }, ['203.0.113.9', 1, false]],
    ['65 entries', 1, { xff: `${'1.1.1.1,'.repeat(64)}203.0.113.9` }, [null, 0, false]],
    ['65 lines', 1, { xff: Array.from({ length: 65 }, () => '203.0.113.9') }, [null, 0, false]],
    ['4 KiB', 1, { xff: `${'x'.repeat(4096 - 12)},203.0.113.9` }, ['203.0.113.9', 1, false]],
    ['more than 4 KiB', 1, { xff: `${'x'.repeat(4096 - 11)},203.0.113.9` }, [null, 0, false]],
    ['https told', 1, { xff: '203.0.113.9', proto: 'https' }, ['203.0.113.9', 1, true]],
    ['HTTPS told', 1, { xff: '203.0.113.9', proto: ' HTTPS ' }, ['203.0.113.9', 1, true]],
    ['http told over TLS', 1, { encrypted: true, xff: '203.0.113.9', proto: 'http' }, ['203.0.113.9', 1, false]],
    ['nothing told over TLS', 1, { encrypted: true, xff: '203.0.113.9' }, ['203.0.113.9', 1, true]],
    ['an empty word over TLS', 1, { encrypted: true, xff: '203.0.113.9', proto: '' }, ['203.0.113.9', 1, false]],
    ['another word', 1, { xff: '203.0.113.9', proto: 'httpss' }, ['203.0.113.9', 1, false]],
    ['https told, address not', 1, { proto: 'https' }, [null, 0, true]],
    ['a single word for two hops', 2, { xff: '203.0.113.9, 10.0.0.2', proto: 'https' }, ['203.0.113.9', 2, true]],
    ['a list, its client https', 2, { xff: '203.0.113.9, 10.0.0.2', proto: 'https, http' }, ['203.0.113.9', 2, true]],
    ['a list, its client http', 2, { xff: '203.0.113.9, 10.0.0.2', proto: 'http, https' }, ['203.0.113.9', 2, false]],
    [
      'a list, client in the middle',
      1,
      { xff: '198.51.100.1, 203.0.113.9', proto: 'http, https' },
      ['203.0.113.9', 1, true],
    ],
    [
      'a list, spoofed on the left',
      1,
      { xff: '198.51.100.1, 203.0.113.9', proto: 'https, http' },
      ['203.0.113.9', 1, false],
    ],
    [
      'a list of two lines',
      2,
      { xff: ['203.0.113.9', '10.0.0.2'], proto: ['https', 'http'] },
      ['203.0.113.9', 2, true],
    ],
    ['a list longer than the chain', 1, { xff: '203.0.113.9', proto: 'https, https' }, ['203.0.113.9', 1, false]],
    [
      'a list shorter than the chain',
      1,
      { xff: '1.1.1.1, 2.2.2.2, 203.0.113.9', proto: 'https, https' },
      ['203.0.113.9', 1, false],
    ],
    ['a list without a chain', 1, { proto: 'https, https' }, [null, 0, false]],
    ['a list, chain too short', 3, { xff: '1.1.1.1, 2.2.2.2', proto: 'https, https' }, [null, 0, false]],
    [
      'a list too long',
      1,
      { encrypted: true, xff: '203.0.113.9', proto: 'https,'.repeat(65) },
      ['203.0.113.9', 1, false],
    ],
  ])('%s', (_, hops, request, expected) => {
    expect(told({ hops }, request)).toEqual(expected)
  })
})

describe('readTransport with CIDR blocks', () => {
  const trust = compileCidrs(['10.0.0.0/8', '2001:db8:ffff::/48'])
  test.each<[label: string, request: Request, expected: Told]>([
    ['a proxy', { xff: '203.0.113.9' }, ['203.0.113.9', 1, false]],
    ['two proxies', { xff: '203.0.113.9, 10.0.0.2' }, ['203.0.113.9', 2, false]],
    ['a mapped proxy', { peer: '::ffff:10.0.0.1', xff: '203.0.113.9, ::ffff:10.0.0.2' }, ['203.0.113.9', 2, false]],
    ['an IPv6 proxy', { peer: '2001:db8:ffff::1', xff: '2001:db8::9' }, ['2001:db8::9', 1, false]],
    ['spoofed on the left', { xff: '10.0.0.9, 203.0.113.9, 10.0.0.2' }, ['203.0.113.9', 2, false]],
    ['a stranger', { peer: '198.51.100.7', xff: '203.0.113.9', proto: 'https' }, ['198.51.100.7', 0, false]],
    ['a stranger over TLS', { peer: '198.51.100.7', encrypted: true, proto: 'http' }, ['198.51.100.7', 0, true]],
    ['no peer', { peer: null, xff: '203.0.113.9', proto: 'https' }, [null, 0, false]],
    ['all trusted', { xff: '10.0.0.7, 10.0.0.2' }, ['10.0.0.7', 2, false]],
    ['the proxy itself', {}, ['10.0.0.1', 0, false]],
    ['the proxy itself, https told', { proto: 'https' }, ['10.0.0.1', 0, true]],
    ['the proxy itself, a list told', { proto: 'https, https' }, ['10.0.0.1', 0, false]],
    ['junk behind a trusted hop', { xff: '203.0.113.9, unknown, 10.0.0.2' }, [null, 0, false]],
    ['an empty header', { xff: '' }, [null, 0, false]],
    ['junk left of the client', { xff: 'unknown, 203.0.113.9' }, ['203.0.113.9', 1, false]],
    ['too many entries', { xff: '10.0.0.2,'.repeat(64), proto: 'https' }, [null, 0, true]],
    ['https told', { xff: '203.0.113.9', proto: 'https' }, ['203.0.113.9', 1, true]],
    ['a list', { xff: '203.0.113.9, 10.0.0.2', proto: 'https, http' }, ['203.0.113.9', 2, true]],
    [
      'a list at the place of the client',
      { xff: '1.1.1.1, 203.0.113.9, 10.0.0.2', proto: 'http,https,http' },
      ['203.0.113.9', 2, true],
    ],
    [
      'a list that does not fit',
      { xff: '203.0.113.9, 10.0.0.2', proto: 'https,https,https' },
      ['203.0.113.9', 2, false],
    ],
    ['Forwarded', { more: ['Forwarded', 'for=203.0.113.9;proto=https'] }, ['10.0.0.1', 0, false]],
  ])('%s', (_, request, expected) => {
    expect(told(trust, request)).toEqual(expected)
  })

  test('an entry planted on Object.prototype is none of a chain that is too short', () => {
    Reflect.set(Object.prototype, '-1', '203.0.113.9')
    try {
      expect(told({ hops: 2 }, { xff: '198.51.100.7' })).toEqual([null, 0, false])
    } finally {
      Reflect.deleteProperty(Object.prototype, '-1')
    }
  })

  test('a number planted on Object.prototype does not make a hop count of them', () => {
    Reflect.set(Object.prototype, 'hops', 1)
    try {
      expect(told(trust, { peer: '198.51.100.7', xff: '203.0.113.9' })).toEqual(['198.51.100.7', 0, false])
    } finally {
      Reflect.deleteProperty(Object.prototype, 'hops')
    }
  })
})

describe('readTransport', () => {
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('', 'https', '[', ']:1', 'unknown', ' ')), {
        maxLength: 70,
      })
      .map((list) => list.join(',')),
  )
  const request = fc.record({
    peer: fc.oneof(fc.constant(null), fc.ipV4(), fc.string()),
    xff: fc.array(value),
    proto: fc.array(value),
  })
  const trusts: readonly TrustedProxies[] = [{ hops: 0 }, { hops: 1 }, { hops: 3 }, compileCidrs(['0.0.0.0/1', '::/1'])]

  test('never throws, and what it gives for an address is one', () => {
    fc.assert(
      fc.property(fc.constantFrom(...trusts), request, (trust, each) => {
        const { address, via } = read(trust, each)
        if (address !== null) expect(address).toMatch(/^(?:(?:\d{1,3}\.){3}\d{1,3}|[\da-f:]{2,39})$/)
        expect(via).toBeLessThanOrEqual(64)
      }),
      { numRuns: 3_000 },
    )
  })

  test('nothing on the left of the client has any effect', () => {
    const chain = fc.array(fc.ipV4(), { minLength: 3, maxLength: 3 })
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.ipV4(), fc.constantFrom('', 'x', '[::1]'))), chain, (spoofed, told3) => {
        const honest = read({ hops: 3 }, { xff: told3.join(','), proto: 'https' })
        expect(read({ hops: 3 }, { xff: [...spoofed, ...told3].join(', '), proto: 'https' })).toEqual(honest)
        expect(honest.address).toBe(told3[0])
      }),
    )
  })
})

describe('allowsPlain', () => {
  test.each<[https: 'required' | 'off', environment: 'live' | 'test', peer: string | null, allowed: boolean]>([
    ['required', 'live', '127.0.0.1', false],
    ['required', 'live', '::1', false],
    ['required', 'live', '203.0.113.9', false],
    ['required', 'test', '127.0.0.1', true],
    ['required', 'test', '127.8.9.1', true],
    ['required', 'test', '::1', true],
    ['required', 'test', '::ffff:127.0.0.1', true],
    ['required', 'test', '128.0.0.1', false],
    ['required', 'test', '203.0.113.9', false],
    ['required', 'test', '::2', false],
    ['required', 'test', null, false],
    ['required', 'test', 'localhost', false],
    ['off', 'live', '203.0.113.9', true],
    ['off', 'test', null, true],
  ])('https %s on a %s server from %s: %s', (https, environment, peer, allowed) => {
    expect(allowsPlain({ https, environment }, peer)).toBe(allowed)
  })
})
