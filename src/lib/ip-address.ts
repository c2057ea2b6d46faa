const DOT = 46
const COLON = 58

/** Longer than any address: 45 characters and a zone. */
const MAX_LENGTH = 64

/** What `readAddress` read last, most significant word first; an IPv4 address is word 3. One for all: nothing here awaits. */
const words = new Uint32Array(4)
const pieces = new Uint16Array(8)

export type IpFamily = 4 | 6

/**
 * Reads an IPv4 address (dotted decimal, four parts, no leading zeros) or an IPv6 address (RFC 4291 section 2.2) into
 * `word(0)` … `word(3)`. Strict: what `inet_aton` takes for octal or hexadecimal is no address here, because proxies
 * and programs disagree about it. Gives 0 for anything else.
 */
export function readAddress(text: string): IpFamily | 0 {
  if (text.length > MAX_LENGTH) return 0
  const value = readIpv4(text, 0)
  if (value >= 0) {
    words[3] = value
    return 4
  }
  return readIpv6(text, text.length) ? 6 : 0
}

/** As `readAddress`, with IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2) as the IPv4 address that it is. */
export function readNormalized(text: string): IpFamily | 0 {
  const zone = text.length > MAX_LENGTH ? -1 : text.indexOf('%')
  const family = zone === -1 ? readAddress(text) : readZoned(text, zone)
  return family === 6 && isMapped() ? 4 : family
}

export function word(index: 0 | 1 | 2 | 3): number {
  return words[index] ?? 0
}

/** Whether the IPv6 address read last lies in ::ffff:0:0/96. */
export function isMapped(): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff
}

export function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`
}

/** RFC 5952 section 4, with hexadecimal groups throughout (as the URL standard prints an address). */
export function formatIpv6(value: ArrayLike<number>): string {
  const { start, end } = longestZeroRun(value)
  let text = ''
  for (let index = 0; index < 8; index += 1) {
    if (index >= start && index < end) {
      if (index === start) text += '::'
      continue
    }
    if (index > 0 && index !== end) text += ':'
    text += groupOf(value, index).toString(16)
  }
  return text
}

function groupOf(value: ArrayLike<number>, index: number): number {
  const pair = value[index >> 1] ?? 0
  return index % 2 === 0 ? pair >>> 16 : pair & 0xffff
}

/** RFC 4007 section 11: the zone names an interface of this machine, and only link-local addresses have one. It is dropped. */
function readZoned(text: string, zone: number): IpFamily | 0 {
  if (zone === text.length - 1 || !readIpv6(text, zone)) return 0
  return word(0) >>> 22 === 0xfe80 >>> 6 ? 6 : 0
}

/** The value of the dotted address that runs from `from` to the end of the text; -1: none. */
function readIpv4(text: string, from: number): number {
  let value = 0
  let at = from
  for (let part = 0; part < 4; part += 1) {
    if (part > 0 && text.charCodeAt(at++) !== DOT) return -1
    const first = text.charCodeAt(at) - 48
    if (!(first >= 0 && first <= 9)) return -1
    let octet = first
    at += 1
    for (let digit = text.charCodeAt(at) - 48; digit >= 0 && digit <= 9; digit = text.charCodeAt(at) - 48) {
      if (octet === 0) return -1
      octet = octet * 10 + digit
      if (octet > 255) return -1
      at += 1
    }
    value = value * 256 + octet
  }
  return at === text.length ? value : -1
}

function readIpv6(text: string, end: number): boolean {
  let count = 0
  let gap = -1
  let at = 0
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return false
    gap = 0
    at = 2
  }
  while (at < end) {
    if (count === 8) return false
    if (text.charCodeAt(at) === COLON) {
      if (gap !== -1) return false
      gap = count
      at += 1
      continue
    }
    const start = at
    let value = 0
    for (
      let digit = hexDigit(text.charCodeAt(at));
      digit !== -1 && at - start < 4;
      digit = hexDigit(text.charCodeAt(at))
    ) {
      value = value * 16 + digit
      at += 1
    }
    if (at === start) return false
    if (text.charCodeAt(at) === DOT) {
      const tail = count <= 6 && end === text.length ? readIpv4(text, start) : -1
      if (tail === -1) return false
      pieces[count] = tail >>> 16
      pieces[count + 1] = tail & 0xffff
      count += 2
      break
    }
    pieces[count] = value
    count += 1
    if (at === end) break
    if (text.charCodeAt(at) !== COLON || at + 1 === end) return false
    at += 1
  }
  return fillGap(count, gap)
}

/** Moves what stands behind `::` to the end, and the whole into words. `::` stands for at least one group. */
function fillGap(count: number, gap: number): boolean {
  if (gap === -1 ? count !== 8 : count === 8) return false
  if (gap !== -1) {
    pieces.copyWithin(8 - (count - gap), gap, count)
    pieces.fill(0, gap, 8 - (count - gap))
  }
  for (let index = 0; index < 4; index += 1) {
    words[index] = (pieces[2 * index] ?? 0) * 65_536 + (pieces[2 * index + 1] ?? 0)
  }
  return true
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

/** The first of the longest runs of at least two zero groups, from `start` to before `end`; an empty one at -1 else. */
function longestZeroRun(value: ArrayLike<number>): { readonly start: number; readonly end: number } {
  let best = { start: -1, end: -1 }
  let start = 0
  for (let index = 0; index < 8; index += 1) {
    if (groupOf(value, index) !== 0) start = index + 1
    else if (index > start && index + 1 - start > best.end - best.start) best = { start, end: index + 1 }
  }
  return best
}
