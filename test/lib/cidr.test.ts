import { BlockList, isIP } from 'node:net'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addressGroup, compileCidrs, normalizeAddress } from '../../src/lib/cidr.ts'

const octet = fc.nat({ max: 255 })
/** Few distinct values, so that random addresses meet random blocks. */
const ipv4 = fc
  .tuple(fc.constantFrom(10, 172, 192, 0, 255), fc.constantFrom(0, 1, 16, 168, 255), octet, octet)
  .map((parts) => parts.join('.'))
const group = fc.oneof(fc.constantFrom(0, 0, 1, 0xdb8, 0xffff), fc.nat({ max: 0xffff }))
const ipv6Groups = fc.tuple(fc.constantFrom(0x2001, 0xfe80, 0, 0xfd00), group, group, group, group, group, group, group)
const ipv6 = ipv6Groups.map((groups) => groups.map((each) => each.toString(16)).join(':'))
const anyAddress = fc.oneof(
  ipv4,
  ipv6,
  ipv4.map((address) => `::ffff:${address}`),
)

/** Independent arithmetic: BigInt, so that nothing of a 32-bit shift is shared with what is tested. */
function networkOf(address: string, prefix: number): string {
  const four = isIP(address) === 4
  const bits = four ? 32n : 128n
  const value = four
    ? address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n)
    : address.split(':').reduce((sum, part) => sum * 65_536n + BigInt(`0x${part}`), 0n)
  const host = bits - BigInt(prefix)
  const network = (value >> host) << host
  return four
    ? [24n, 16n, 8n, 0n].map((shift) => String((network >> shift) & 255n)).join('.')
    : [112n, 96n, 80n, 64n, 48n, 32n, 16n, 0n].map((shift) => ((network >> shift) & 0xffffn).toString(16)).join(':')
}

const block = fc.oneof(
  fc.tuple(ipv4, fc.nat({ max: 32 })).map(([address, prefix]) => ({ network: networkOf(address, prefix), prefix })),
  fc.tuple(ipv6, fc.nat({ max: 128 })).map(([address, prefix]) => ({ network: networkOf(address, prefix), prefix })),
)

/** The last bits of the network turned, so that half of the pairs lie just inside or just outside. */
const near = fc.tuple(block, fc.nat({ max: 127 })).map(([{ network, prefix }, bit]) => {
  const four = isIP(network) === 4
  const parts = four ? network.split('.').map(Number) : network.split(':').map((part) => Number.parseInt(part, 16))
  const width = four ? 8 : 16
  const turned = bit % (width * parts.length)
  const index = Math.floor(turned / width)
  parts[index] = (parts[index] ?? 0) ^ (1 << (width - 1 - (turned % width)))
  return { network, prefix, address: four ? parts.join('.') : parts.map((part) => part.toString(16)).join(':') }
})

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6'
}

describe('compileCidrs', () => {
  const rows: readonly [rule: string, address: string, held: boolean][] = [
    ['203.0.113.0/24', '203.0.113.9', true],
    ['203.0.113.0/24', '203.0.114.9', false],
    ['203.0.113.0/24', '::ffff:203.0.113.9', true],
    ['203.0.113.0/24', '::FFFF:cb00:7109', true],
    ['203.0.113.9', '203.0.113.9', true],
    ['203.0.113.9', '203.0.113.90', false],
    ['0.0.0.0/0', '255.255.255.255', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::/0', '2001:db8::1', true],
    ['::/0', '10.0.0.1', false],
    ['::/0', '::ffff:10.0.0.1', false],
    ['128.0.0.0/1', '127.255.255.255', false],
    ['128.0.0.0/1', '200.1.1.1', true],
    ['10.0.0.0/31', '10.0.0.1', true],
    ['10.0.0.0/31', '10.0.0.2', false],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['::ffff:10.0.0.0/104', '11.1.2.3', false],
    ['::ffff:0:0/96', '8.8.8.8', true],
    ['::ffff:0:0/96', '2001:db8::1', false],
    ['::ffff:10.0.0.1', '10.0.0.1', true],
    ['::ffff:a00:1', '10.0.0.1', true],
    ['10.0.0.0/8', '::10.0.0.1', false],
    ['10.0.0.0/8', '64:ff9b::a00:1', false],
    ['2001:db8::/32', '2001:db8:ffff::1', true],
    ['2001:db8::/32', '2001:DB8:0:0:0:0:0:1', true],
    ['2001:db8::/32', '2001:db9::1', false],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['2001:db8::/65', '2001:db8::7fff:0:0:1', true],
    ['2001:db8::/65', '2001:db8::8000:0:0:1', false],
    ['::1', '::1', true],
    ['::1', '0:0:0:0:0:0:0:1', true],
    ['::1', '127.0.0.1', false],
    ['fe80::/10', 'fe80::1%eth0', true],
    ['fe80::/10', 'febf::1', true],
    ['fe80::/10', 'fec0::1', false],
    ['10.0.0.0/8', '010.0.0.1', false],
    ['10.0.0.0/8', '10.0.0.1 ', false],
    ['10.0.0.0/8', '10.0.0.1:443', false],
    ['10.0.0.0/8', '10.1', false],
    ['10.0.0.0/8', '0x0a.0.0.1', false],
    ['10.0.0.0/8', '167772161', false],
    ['0.0.0.0/0', '', false],
    ['0.0.0.0/0', 'unknown', false],
    ['::/0', 'unknown', false],
    ['::/0', `2001:db8::1%${'z'.repeat(10_000)}`, false],
  ]
  test.each(rows)('%s holds %s: %s', (rule, address, held) => {
    expect(compileCidrs([rule]).holds(address)).toBe(held)
  })

  test('holds an address if any of the blocks does, and nothing if there are none', () => {
    const list = compileCidrs(['10.0.0.0/8', '2001:db8::/32', '192.0.2.7'])
    expect(['10.9.9.9', '2001:db8::9', '192.0.2.7', '192.0.2.8', '::1'].map((each) => list.holds(each))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ])
    expect(compileCidrs([]).holds('10.0.0.1')).toBe(false)
    expect(Object.isFrozen(list)).toBe(true)
  })

  const bad: readonly [rule: string, message: string][] = [
    ['', 'rule 1 is neither an IP address nor a CIDR block.'],
    ['localhost', 'rule 1 is neither an IP address nor a CIDR block.'],
    ['10.0.0', 'rule 1 ("10.0.0") is neither an IP address nor a CIDR block.'],
    ['010.0.0.1', 'rule 1 ("010.0.0.1") is neither an IP address nor a CIDR block.'],
    ['10.0.0.256', 'rule 1 ("10.0.0.256") is neither an IP address nor a CIDR block.'],
    ['10.0.0.1.1', 'rule 1 ("10.0.0.1.1") is neither an IP address nor a CIDR block.'],
    ['0x0a.0.0.1', 'rule 1 is neither an IP address nor a CIDR block.'],
    [' 10.0.0.1', 'rule 1 is neither an IP address nor a CIDR block.'],
    ['10.0.0.1\n', 'rule 1 is neither an IP address nor a CIDR block.'],
    ['10.0.0.*', 'rule 1 is neither an IP address nor a CIDR block.'],
    ['[::1]', 'rule 1 is neither an IP address nor a CIDR block.'],
    ['1::2::3', 'rule 1 ("1::2::3") is neither an IP address nor a CIDR block.'],
    ['10.0.0.0/', 'rule 1 ("10.0.0.0/") needs a prefix from 0 to 32 behind the slash.'],
    ['10.0.0.0/33', 'rule 1 ("10.0.0.0/33") needs a prefix from 0 to 32 behind the slash.'],
    ['10.0.0.0/08', 'rule 1 ("10.0.0.0/08") needs a prefix from 0 to 32 behind the slash.'],
    ['10.0.0.0/-1', 'rule 1 needs a prefix from 0 to 32 behind the slash.'],
    ['10.0.0.0/8/8', 'rule 1 ("10.0.0.0/8/8") needs a prefix from 0 to 32 behind the slash.'],
    ['10.0.0.0/255.0.0.0', 'rule 1 ("10.0.0.0/255.0.0.0") needs a prefix from 0 to 32 behind the slash.'],
    ['::/129', 'rule 1 ("::/129") needs a prefix from 0 to 128 behind the slash.'],
    ['10.0.0.1/8', 'rule 1 ("10.0.0.1/8") has bits set behind its prefix; the block is 10.0.0.0/8.'],
    ['10.0.0.1/0', 'rule 1 ("10.0.0.1/0") has bits set behind its prefix; the block is 0.0.0.0/0.'],
    ['2001:db8::1/32', 'rule 1 ("2001:db8::1/32") has bits set behind its prefix; the block is 2001:db8::/32.'],
    ['::ffff:10.0.0.1/104', 'rule 1 ("::ffff:10.0.0.1/104") has bits set behind its prefix; the block is 10.0.0.0/8.'],
    // CVE-2026-90711: such a rule trusted the whole of IPv4.
    [
      '::ffff:10.0.0.0/8',
      'rule 1 ("::ffff:10.0.0.0/8") is IPv4-mapped with a prefix under 96, which would be more than all of IPv4.',
    ],
    [
      '::ffff:0:0/95',
      'rule 1 ("::ffff:0:0/95") is IPv4-mapped with a prefix under 96, which would be more than all of IPv4.',
    ],
    ['fe80::1%eth0', 'rule 1 has a zone; a rule holds on every interface.'],
    ['fe80::%eth0/64', 'rule 1 has a zone; a rule holds on every interface.'],
  ]
  test.each(bad)('refuses the rule %j', (rule, message) => {
    expect(() => compileCidrs(['10.0.0.0/8', rule])).toThrow(new TypeError(message))
  })

  test('refuses what is no string', () => {
    const foreign: readonly string[] = JSON.parse('[null]')
    expect(() => compileCidrs(foreign)).toThrow(new TypeError('rule 0 is no string.'))
  })

  test.each([
    ['a key', 'hc_live_sk_AbC12xYz9kLmNpQr'],
    ['a piece of a key', 'sk_AbC12'],
    ['the body of a key', 'AbC12xYz9kLmNpQr'],
    ['a short password', 'hunter2'],
    ['a password like a number', '20261124'],
    ['a PIN', '4711'],
    ['base64', 'aG9wZWZ1bGx5LW5vYm9keS1wdXRzLXRoaXMtaGVyZQ=='],
    ['a hexadecimal digest', 'deadbeefdeadbeefdeadbeefdeadbeef'],
    ['a digest of our own form', 'sha256:47DEQpj8HBSa'],
    ['a hexadecimal digest with its name', 'abc:deadbeefdeadbeefdead'],
    ['a user and password', 'me:s3cr3t@10.0.0.1'],
    ['an address and a secret', '10.0.0.1 s3cr3t'],
    ['an address, a newline and a secret', '10.0.0.1\ndeadbeef'],
    ['an address with a secret for zone', 'fe80::1%s3cr3t'],
    ['an address with a secret for prefix', '10.0.0.0/deadbeef'],
    ['an address without end', '1:'.repeat(40)],
  ])('shows nothing of %s in place of a rule', (_what, secret) => {
    const message =
      /^rule 1 (?:is neither an IP address nor a CIDR block|has a zone; [a-z ;]+|needs a prefix from 0 to 32 [a-z ]+)\.$/
    expect(() => compileCidrs(['10.0.0.0/8', secret])).toThrow(message)
  })

  test('agrees with net.BlockList on 20,000 pairs of block and address', { timeout: 60_000 }, () => {
    let held = 0
    const agree = (network: string, prefix: number, address: string): void => {
      const oracle = new BlockList()
      oracle.addSubnet(network, prefix, family(network))
      const expected = oracle.check(address, family(address))
      if (expected) held += 1
      const mapped = networkIsMapped(network, prefix)
      if (mapped) return
      const got = compileCidrs([`${network}/${prefix}`]).holds(address)
      if (got !== expected) expect({ network, prefix, address, got }).toEqual(expected)
    }
    fc.assert(
      fc.property(near, anyAddress, ({ network, prefix, address }, other) => {
        agree(network, prefix, address)
        if (!(family(network) === 'ipv6' && other.startsWith('::ffff:'))) agree(network, prefix, other)
      }),
      { numRuns: 10_000 },
    )
    expect(held).toBeGreaterThan(2_000)
  })

  test('agrees with net.BlockList on IPv4-mapped blocks and addresses', { timeout: 60_000 }, () => {
    const nearIpv4 = near.filter(({ network }) => family(network) === 'ipv4')
    let held = 0
    fc.assert(
      fc.property(nearIpv4, ipv4, ({ network, prefix, address }, other) => {
        const oracle = new BlockList()
        oracle.addSubnet(network, prefix, 'ipv4')
        for (const each of [address, other]) {
          const expected = oracle.check(each, 'ipv4')
          if (expected) held += 1
          for (const rule of [`::ffff:${network}/${96 + prefix}`, `0:0:0:0:0:FFFF:${hexOf(network)}/${96 + prefix}`]) {
            const list = compileCidrs([rule])
            const got = [each, `::ffff:${each}`, `::ffff:${hexOf(each)}`].map((text) => list.holds(text))
            if (got.some((one) => one !== expected)) expect({ rule, each, got }).toEqual(expected)
          }
        }
      }),
      { numRuns: 2_000 },
    )
    expect(held).toBeGreaterThan(500)
  })
})

/** The last two groups of an IPv4-mapped address. */
function hexOf(address: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
}

/** IPv6 blocks in or around ::ffff:0:0/96 have rows of their own above. */
function networkIsMapped(network: string, prefix: number): boolean {
  return family(network) === 'ipv6' && networkOf(network, Math.min(prefix, 80)) === '0:0:0:0:0:0:0:0'
}

describe('normalizeAddress', () => {
  const rows: readonly [text: string, address: string | null][] = [
    ['203.0.113.9', '203.0.113.9'],
    ['0.0.0.0', '0.0.0.0'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['::FFFF:CB00:7109', '203.0.113.9'],
    ['0:0:0:0:0:ffff:203.0.113.9', '203.0.113.9'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:0DB8:0000:0000:0000:0000:0000:0001', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['::1.2.3.4', '::102:304'],
    ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
    ['fe80::1%eth0', 'fe80::1'],
    ['fe80::1%25', 'fe80::1'],
    ['fe80::1%', null],
    ['2001:db8::1%eth0', null],
    ['::ffff:10.0.0.1%eth0', null],
    ['1.2.3.4%eth0', null],
    ['', null],
    ['.', null],
    [':', null],
    [':::', null],
    ['1:', null],
    ['1::2:', null],
    [':1::2', null],
    ['1:2:3:4:5:6:7', null],
    ['1:2:3:4:5:6:7:8:9', null],
    ['1:2:3:4:5:6:7:8::', null],
    ['1::2:3:4:5:6:7:8', null],
    ['1:2:3:4:5:6:7:1.2.3.4', null],
    ['::1.2.3', null],
    ['::1.2.3.4.5', null],
    ['::1.2.3.04', null],
    ['::1.2.3.4:5', null],
    ['12345::', null],
    ['::g', null],
    ['1.2.3.4.', null],
    ['1..3.4', null],
    ['1.2.3', null],
    ['01.2.3.4', null],
    ['1.2.3.4/32', null],
    ['1.2.3.4\u0000', null],
    ['١.2.3.4', null],
    ['localhost', null],
    ['[::1]', null],
    ['0'.repeat(100_000), null],
  ]
  test.each(rows)('%j is %j', (text, address) => {
    expect(normalizeAddress(text)).toBe(address)
  })

  test('prints IPv6 as the URL standard does', () => {
    fc.assert(
      fc.property(fc.oneof(ipv6, fc.ipV6()), (text) => {
        const printed = new URL(`http://[${text}]`).hostname.slice(1, -1)
        if (!printed.startsWith('::ffff:')) expect(normalizeAddress(text)).toBe(printed)
      }),
      { numRuns: 5_000 },
    )
  })

  test('takes exactly the texts that net.isIP takes, zones apart', () => {
    const characters = fc.string({ unit: fc.constantFrom(...'0123456789abcfF:::...'.split('')), maxLength: 24 })
    const mutated = fc
      .tuple(fc.oneof(anyAddress, fc.ipV6()), fc.nat(), fc.constantFrom(...':.0f1g x'.split(''), ''))
      .map(([text, at, put]) => `${text.slice(0, at % text.length)}${put}${text.slice((at % text.length) + 1)}`)
    let taken = 0
    fc.assert(
      fc.property(fc.oneof(characters, mutated), (text) => {
        const expected = isIP(text) !== 0
        if (expected) taken += 1
        expect(normalizeAddress(text) !== null).toBe(expected)
      }),
      { numRuns: 20_000 },
    )
    expect(taken).toBeGreaterThan(2_000)
  })

  test('is its own fixed point', () => {
    fc.assert(
      fc.property(anyAddress, (text) => {
        const address = normalizeAddress(text) ?? ''
        expect(normalizeAddress(address)).toBe(address)
      }),
    )
  })
})

describe('addressGroup', () => {
  test.each([
    ['203.0.113.9', '203.0.113.9', '203.0.113.0/24'],
    ['::ffff:203.0.113.9', '203.0.113.9', '203.0.113.0/24'],
    ['255.255.255.255', '255.255.255.255', '255.255.255.0/24'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64', '2001:db8:1:2::/64'],
    ['2001:db8:1:2:ffff::', '2001:db8:1:2::/64', '2001:db8:1:2::/64'],
    ['2001:db8:1:3::1', '2001:db8:1:3::/64', '2001:db8:1:3::/64'],
    ['::1', '::/64', '::/64'],
    ['unknown', '*', '*'],
  ])('of %s is %s, or %s', (address, single, wide) => {
    expect(addressGroup(address)).toBe(single)
    expect(addressGroup(address, 24)).toBe(wide)
  })
})
