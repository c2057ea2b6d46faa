import { formatIpv4, formatIpv6, isMapped, readAddress, readNormalized, word, type IpFamily } from './ip-address.ts'

/** A compiled list of blocks. */
export interface CidrList {
  /** Whether the address lies in one of the blocks; `false` for a text that is no IP address. */
  holds(address: string): boolean
  /** As they were given. */
  readonly rules: readonly string[]
}

interface Block {
  readonly family: IpFamily
  readonly network: readonly [number, number, number, number]
  readonly prefix: number
}

/**
 * Compiles CIDR blocks and single addresses. A block of one family never holds an address of the other; IPv4-mapped
 * IPv6 counts as IPv4, in a rule (`::ffff:10.0.0.0/104` is `10.0.0.0/8`) and in an address. An empty list holds nothing.
 * @throws {TypeError} for a rule that does not say exactly one block: it names index and reason, and the text only where
 * it is made of the characters of an address.
 */
export function compileCidrs(rules: readonly string[]): CidrList {
  const blocks = rules.map((rule, index) => readRule(rule, index))
  const ipv4 = matcher(blocks.filter(({ family }) => family === 4))
  const ipv6 = matcher(blocks.filter(({ family }) => family === 6))
  return Object.freeze({
    // A list that nobody can change is kept as it is: every cached key has one.
    rules: Object.isFrozen(rules) ? rules : Object.freeze([...rules]),
    holds: (address: string) => {
      const family = readNormalized(address)
      return family !== 0 && (family === 4 ? ipv4() : ipv6())
    },
  })
}

/** The one text of an address: dotted IPv4, or IPv6 as RFC 5952 prints it; `null` for anything that is no IP address. */
export function normalizeAddress(text: string): string | null {
  const family = readNormalized(text)
  if (family === 0) return null
  if (family === 6) return formatIpv6([word(0), word(1), word(2), word(3)])
  return text.includes(':') ? formatIpv4(word(3)) : text
}

/**
 * What counts as one place: an IPv6 client has a whole /64 to itself, so its address alone says nothing. IPv4 is itself,
 * or its /24 where that is asked for. Gives `*` for a text that is no IP address.
 */
export function addressGroup(address: string, ipv4Prefix: 24 | 32 = 32): string {
  const family = readNormalized(address)
  if (family === 0) return '*'
  if (family === 6) return `${formatIpv6([word(0), word(1), 0, 0])}/64`
  return ipv4Prefix === 32 ? formatIpv4(word(3)) : `${formatIpv4(word(3) & ~255)}/24`
}

/** Compares the address that was read last, without allocating. The words of an IPv4 block before the last do not count. */
function matcher(blocks: readonly Block[]): () => boolean {
  const networks = Uint32Array.from(blocks.flatMap(({ network }) => network))
  const masks = Uint32Array.from(blocks.flatMap(({ family, prefix }) => masksOf(family, prefix)))
  return () => {
    for (let at = 0; at < networks.length; at += 4) {
      const differs =
        ((word(0) ^ (networks[at] ?? 0)) & (masks[at] ?? 0)) |
        ((word(1) ^ (networks[at + 1] ?? 0)) & (masks[at + 1] ?? 0)) |
        ((word(2) ^ (networks[at + 2] ?? 0)) & (masks[at + 2] ?? 0)) |
        ((word(3) ^ (networks[at + 3] ?? 0)) & (masks[at + 3] ?? 0))
      if (differs === 0) return true
    }
    return false
  }
}

function masksOf(family: IpFamily, prefix: number): readonly [number, number, number, number] {
  return family === 4
    ? [0, 0, 0, maskOf(prefix)]
    : [maskOf(prefix), maskOf(prefix - 32), maskOf(prefix - 64), maskOf(prefix - 96)]
}

/** A shift by 32 is a shift by 0 in JavaScript: without the bounds, a single address would hold all others. */
function maskOf(bits: number): number {
  if (bits <= 0) return 0
  return bits >= 32 ? 0xffff_ffff : ~(0xffff_ffff >>> bits) >>> 0
}

function readRule(rule: unknown, index: number): Block {
  if (typeof rule !== 'string') throw new TypeError(`rule ${index} is no string.`)
  const refuse = (why: string): never => {
    throw new TypeError(`rule ${index}${shown(rule)} ${why}.`)
  }
  const slash = rule.indexOf('/')
  const address = slash === -1 ? rule : rule.slice(0, slash)
  if (address.includes('%')) refuse('has a zone; a rule holds on every interface')
  const family = readAddress(address)
  if (family === 0) return refuse('is neither an IP address nor a CIDR block')
  const bits = family === 4 ? 32 : 128
  const prefix = slash === -1 ? bits : prefixOf(rule.slice(slash + 1))
  if (prefix > bits) return refuse(`needs a prefix from 0 to ${bits} behind the slash`)
  if (family === 4) return checked({ family, network: [0, 0, 0, word(3)], prefix }, refuse)
  if (!isMapped()) return checked({ family, network: [word(0), word(1), word(2), word(3)], prefix }, refuse)
  if (prefix < 96) return refuse('is IPv4-mapped with a prefix under 96, which would be more than all of IPv4')
  return checked({ family: 4, network: [0, 0, 0, word(3)], prefix: prefix - 96 }, refuse)
}

/** `10.0.0.1/8` may mean the one address or the whole block: whoever wrote it says which. */
function checked(block: Block, refuse: (why: string) => never): Block {
  const masks = masksOf(block.family, block.prefix)
  const network = block.network.map((each, index) => (each & (masks[index] ?? 0)) >>> 0)
  if (network.every((each, index) => each === block.network[index])) return block
  const text = block.family === 4 ? formatIpv4(network[3] ?? 0) : formatIpv6(network)
  return refuse(`has bits set behind its prefix; the block is ${text}/${block.prefix}`)
}

/** A number of at most three digits without leading zero; beyond every prefix for anything else. */
function prefixOf(text: string): number {
  return /^(?:0|[1-9]\d{0,2})$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY
}

/**
 * A secret that was put in the wrong option must not be in the error: shown is only what can be (a misspelt) address, with
 * a dot or a colon in it and no more than four digits in a row, which no key, digest or password is.
 */
function shown(rule: string): string {
  return /^(?=.*[.:])(?!.*[\da-f]{5})[\da-f.:/]{1,49}$/i.test(rule) ? ` (${JSON.stringify(rule)})` : ''
}
