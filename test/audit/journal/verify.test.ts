import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { byteChange, deletion, insertion, swap } from './verify-attacks.ts'
import {
  closedJournal,
  forged,
  handWriter,
  KEYS,
  OTHER_KEYS,
  rechained,
  sha256,
  told,
  verdictOf,
  type Outside,
} from './verify-journal.ts'

const JOURNAL = closedJournal(200)
const LINES: readonly string[] = JOURNAL.lines
/** What a sink has received, and the public key: all that an examiner can have. */
const OUTSIDE: Outside = { publicKeys: [KEYS.publicKey], checkpoints: JOURNAL.checkpoints.slice(-1) }
const PLACES = LINES.map((_, index) => index)
const isIntent = (line: string | undefined) => line?.startsWith('{"v":1,"intent"') === true
const LAST_INTENT = LINES.findLastIndex(isIntent)

const found = (lines: readonly (string | Buffer)[], outside: Outside = OUTSIDE) =>
  told(verdictOf({ w1: { 1: lines } }, outside))

/** Rows of which the finding is not the one expected. */
function misses<Row>(rows: readonly Row[], attack: (row: Row) => { got: readonly string[]; want: readonly string[] }) {
  return rows.map((row) => ({ row, ...attack(row) })).filter(({ got, want }) => got.join() !== want.join())
}

describe('a journal that nobody touched', () => {
  test.each<[string, Outside]>([
    ['with keys and checkpoints', OUTSIDE],
    ['with keys', { publicKeys: [OTHER_KEYS.publicKey, KEYS.publicKey] }],
    ['with checkpoints', { checkpoints: JOURNAL.checkpoints }],
    ['by its chain alone', {}],
  ])('is good (%s)', (_, outside) => {
    const events = LINES.filter((line) => !isIntent(line)).length
    expect(verdictOf({ w1: { 1: LINES } }, outside)).toEqual({
      ok: true,
      events,
      unanchored: 0,
      tornTail: false,
      findings: [],
    })
    expect(LINES).toHaveLength(200)
    expect(events).toBeLessThan(150)
  })

  test('is good in any number of segments, empty ones among them', () => {
    for (const size of [1, 7, 64, 199]) {
      const segments: Record<number, readonly string[]> = {}
      for (let at = 0; at < LINES.length; at += size) segments[at / size + 1] = LINES.slice(at, at + size)
      expect(told(verdictOf({ w1: segments }, OUTSIDE))).toEqual([])
    }
    expect(told(verdictOf({ w1: { 1: [], 2: LINES.slice(0, 9), 3: [], 4: LINES.slice(9), 5: [] } }, OUTSIDE))).toEqual(
      [],
    )
  })

  test('is good without a signing key, and then nobody vouches for it', () => {
    const own = closedJournal(50, 'w1', null)
    expect(verdictOf({ w1: { 1: own.lines } })).toMatchObject({ ok: true, unanchored: 50, tornTail: false })
    expect(verdictOf({ w1: { 1: own.lines } }, { publicKeys: [KEYS.publicKey] })).toMatchObject({ unanchored: 50 })
  })

  test('has as many unanchored lines as stand behind the last checkpoint of each writer', () => {
    const open = handWriter('w2')
    open.checkpoint()
    open.intent()
    open.event()
    expect(verdictOf({ w1: { 1: LINES }, w2: { 1: open.lines } })).toMatchObject({ ok: true, unanchored: 2 })
  })

  test('may be empty', () => {
    const nothing = { ok: true, events: 0, unanchored: 0, tornTail: false, findings: [] }
    expect(verdictOf({})).toEqual(nothing)
    expect(verdictOf({ w1: {} })).toEqual(nothing)
    expect(verdictOf({ w1: { 1: [] } })).toEqual(nothing)
  })

  test('gives a verdict that nobody can change', () => {
    const verdict = verdictOf({ w1: { 1: LINES.slice(1) } })
    expect([verdict, verdict.findings, verdict.findings[0]].every((each) => Object.isFrozen(each))).toBe(true)
  })
})

describe('one change is one finding, in its place:', () => {
  const bytes = LINES.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0)

  test('any byte (of every position: scripts/prove-journal-bytes.mjs)', () => {
    fc.assert(
      fc.property(fc.nat(bytes - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const { segment, line, isLastNewline } = byteChange(LINES, at, mask)
        const [finding, ...more] = verdictOf({ w1: { 1: segment } }, OUTSIDE).findings
        expect(more).toEqual([])
        expect(finding).toMatchObject({ writer: 'w1', segment: 1, line })
        expect(isLastNewline ? ['truncated'] : ['altered', 'malformed']).toContain(finding?.kind)
      }),
      { numRuns: 600 },
    )
  })

  test('a line that is deleted', () => {
    const rows = misses(PLACES, (at) => ({ got: found(deletion(LINES, at)), want: [`w1 1:${at + 1} deleted`] }))
    // Nothing behind the last intent tells that one more was there; and what stood last is missed by the sink alone.
    expect(rows.map(({ got }) => got)).toEqual([[`w1 1:${LAST_INTENT} altered`], ['w1 1:200 truncated']])
  })

  test('some lines that are deleted', () => {
    const rows = misses(PLACES.slice(0, -5), (at) => ({
      got: found(LINES.toSpliced(at, 2 + (at % 3))),
      want: [`w1 1:${at + 1} deleted`],
    }))
    expect(rows).toEqual([])
  })

  test('a line that is altered', () => {
    const rows = misses(PLACES, (at) => ({
      got: found(LINES.with(at, forged(LINES[at] ?? ''))),
      want: [`w1 1:${at + 1} altered`],
    }))
    expect(rows).toEqual([])
  })

  test.each([
    ['prev', { prev: sha256('nothing') }],
    ['seq', { seq: 7000 }],
    ['writer', { writer: 'w2' }],
    ['prev and seq', { prev: sha256('nothing'), seq: 7000 }],
  ])('an event with another %s', (_, change) => {
    const events = PLACES.filter((at) => !isIntent(LINES[at]))
    const rows = misses(events, (at) => ({
      got: found(LINES.with(at, forged(LINES[at] ?? '', change))),
      want: [`w1 1:${at + 1} altered`],
    }))
    expect(rows).toEqual([])
  })

  test('two neighbours that are swapped', () => {
    const rows = misses(PLACES.slice(0, -1), (at) => ({
      got: found(swap(LINES, at, at + 1)),
      want: [`w1 1:${at + 1} reordered`],
    }))
    expect(rows).toEqual([])
  })

  test('any two lines that are swapped', () => {
    const pairs = PLACES.slice(0, -2).map((at) => [at, at + 2 + ((at * 7919) % (198 - at))] as const)
    const rows = misses(pairs, ([one, other]) => ({
      got: found(swap(LINES, one, other)),
      want: [`w1 1:${one + 1} reordered`],
    }))
    expect(rows).toEqual([])
  })

  test('a line that is moved', () => {
    const moves = PLACES.map((at) => [at, (at * 7919 + 17) % 199] as const).filter(
      ([from, to]) => Math.abs(from - to) > 1,
    )
    for (const [from, to] of moves) {
      const [finding, ...more] = found(LINES.toSpliced(from, 1).toSpliced(to, 0, LINES[from] ?? ''))
      // Where it is missed, or where it stands now.
      expect([`w1 1:${from + 1} reordered`, `w1 1:${to + 1} reordered`]).toContain(finding)
      expect(more).toEqual([])
    }
    expect(moves.length).toBeGreaterThan(190)
  })

  test('a line that stands there twice', () => {
    const rows = misses(PLACES, (at) => ({
      got: found(insertion(LINES, at, LINES[at])),
      want: [`w1 1:${at + 2} inserted`],
    }))
    expect(rows).toEqual([])
  })

  test('a copy of a line elsewhere', () => {
    const rows = misses(PLACES, (at) => {
      const to = (at * 7919 + 17) % 200
      // Directly before the line, nobody can tell which of the two was there first.
      const shows = to + 1 === at ? to + 3 : to + 2
      return { got: found(insertion(LINES, to, LINES[at])), want: [`w1 1:${shows} inserted`] }
    })
    expect(rows).toEqual([])
  })

  test('a forged line whose place is not computed', () => {
    const rows = misses(PLACES, (at) => ({
      got: found(insertion(LINES, at, forged(LINES[at] ?? '', { prev: sha256('nothing') }))),
      want: [`w1 1:${at + 2} inserted`],
    }))
    expect(rows).toEqual([])
  })

  test('a forged line whose place is computed', () => {
    const rows = misses(PLACES.slice(0, -1), (at) => {
      const seq = LINES.slice(0, at + 1).filter((line) => !isIntent(line)).length + 1
      const line = forged(LINES[1] ?? '', { n: LINES.slice(0, at + 1).filter(isIntent).length + 1 })
      const event = forged(LINES.findLast((each) => each.includes('"request"')) ?? '', { seq })
      const own = at % 2 === 0 ? line : event
      return {
        got: found(insertion(LINES, at, forged(own, { prev: sha256(LINES[at] ?? '') }))),
        want: [`w1 1:${at + 2} inserted`],
      }
    })
    expect(rows).toEqual([])
  })

  test('many forged lines, chained to each other', () => {
    const own = handWriter('w1')
    own.lines.splice(0, 1, ...LINES.slice(0, 1))
    for (let each = 0; each < 300; each += 1) own.event()
    expect(found([...LINES.slice(0, 1), ...own.lines.slice(1), ...LINES.slice(1)])).toEqual(['w1 1:2 inserted'])
  })

  test.each<[string, string | Buffer]>([
    ['empty', ''],
    ['no JSON', 'nothing'],
    ['no UTF-8', Buffer.from([0xff, 0xfe])],
    ['too long', forged(LINES[1] ?? '', { requestId: 'x'.repeat(40_000) })],
    ['another kind of JSON', '{"v":2}'],
  ])('a line that is none (%s), put between or in the place of another', (_, line) => {
    for (const at of [0, 57, 120, 198]) {
      expect(found(insertion(LINES, at, line))).toEqual([`w1 1:${at + 2} inserted`])
      expect(found((LINES as readonly (string | Buffer)[]).with(at, line))).toEqual([`w1 1:${at + 1} malformed`])
    }
    expect(found(insertion(LINES, 199, line))).toEqual(['w1 1:201 malformed'])
  })

  test('the end that is cut off', () => {
    const rows = misses(PLACES, (at) => ({ got: found(LINES.slice(0, at)), want: [`w1 1:${at + 1} truncated`] }))
    expect(rows).toEqual([])
  })

  test('the end that is cut off in the middle of a line', () => {
    for (const at of PLACES.filter((each) => each % 9 === 0)) {
      const tail = LINES[at]?.slice(0, 1 + ((at * 37) % 300)) ?? ''
      const verdict = verdictOf({ w1: { 1: { lines: LINES.slice(0, at), tail } } }, OUTSIDE)
      expect(told(verdict)).toEqual([`w1 1:${at + 1} truncated`])
      expect(verdict.tornTail).toBe(false)
    }
  })
})

describe('two changes are two findings', () => {
  /** Each leaves as many lines as `grows` says, and shows at one of the places. */
  const attacks = {
    altered: (lines: readonly string[], at: number) => ({
      lines: lines.with(at, forged(lines[at] ?? '')),
      grows: 0,
      // A gap in the numbers may belong to either of two bad links: see `deleted`.
      shows: [`${at + 1} altered`, `${at + 2} deleted`],
    }),
    broken: (lines: readonly string[], at: number) => ({
      lines: lines.with(at, `${lines[at] ?? ''} `),
      grows: 0,
      shows: [`${at + 1} malformed`],
    }),
    deleted: (lines: readonly string[], at: number) => ({
      lines: lines.toSpliced(at, 1),
      grows: -1,
      // Of a missing intent only the next one tells: until then it may as well be the line before that is another.
      shows: [`${at + 1} deleted`, `${at} altered`],
    }),
    inserted: (lines: readonly string[], at: number) => ({
      lines: lines.toSpliced(at, 0, forged(lines[at] ?? '')),
      grows: 1,
      shows: [`${at + 1} inserted`],
    }),
    swapped: (lines: readonly string[], at: number) => ({
      lines: lines.toSpliced(at, 2, lines[at + 1] ?? '', lines[at] ?? ''),
      grows: 0,
      shows: [`${at + 1} reordered`],
    }),
  } as const
  const attack = fc.constantFrom(...(Object.keys(attacks) as (keyof typeof attacks)[]))

  test('wherever they are', () => {
    fc.assert(
      fc.property(
        attack,
        attack,
        fc.integer({ min: 2, max: 180 }),
        fc.integer({ min: 4, max: 190 }),
        (one, other, at, gap) => {
          fc.pre(at + gap < 197)
          const later = attacks[other](LINES, at + gap)
          const { lines, grows, shows } = attacks[one](later.lines, at)
          const [first = '', second = '', ...more] = found(lines).map((each) => each.slice('w1 1:'.length))
          expect(more).toEqual([])
          const moved = later.shows.map((each) => each.replace(/^\d+/, (line) => String(Number(line) + grows)))
          expect(shows).toContain(first)
          expect(moved).toContain(second)
        },
      ),
      { numRuns: 400 },
    )
  })
})

test('whatever is done, and however often, never goes unseen', () => {
  const at = fc.nat(199)
  const change = fc.oneof(
    fc.record({
      what: fc.constantFrom('delete', 'copy', 'move', 'reverse'),
      from: at,
      size: fc.integer({ min: 1, max: 40 }),
      to: at,
    }),
    fc.record({ what: fc.constantFrom('forge', 'break'), from: at, size: fc.constant(1), to: at }),
  )
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
      const lines = [...LINES]
      for (const { what, from, size, to } of changes) {
        const block = what === 'copy' ? lines.slice(from, from + size) : lines.splice(from, size)
        if (what === 'reverse') lines.splice(from, 0, ...block.toReversed())
        else if (what === 'forge')
          lines.splice(from, 0, ...block.map((line) => line.replace('"count":1', `"count":${to}`)))
        else if (what === 'break') lines.splice(from, 0, 'junk')
        else if (what !== 'delete') lines.splice(to, 0, ...block)
      }
      const isTouched = lines.length !== LINES.length || lines.some((line, index) => line !== LINES[index])
      expect(found(lines).length > 0).toBe(isTouched)
    }),
    { numRuns: 500 },
  )
})

describe('who computes the chain again', () => {
  const at = PLACES.findIndex((index) => index >= 57 && !isIntent(LINES[index]))
  const nextCheckpoint = LINES.findIndex((line, index) => index >= at && line.includes('"audit.checkpoint"'))
  const altered = rechained(LINES.with(at, forged(LINES[at] ?? '')), at)
  const shorter = rechained(LINES.toSpliced(at, 1), at)

  test('cannot sign: the next checkpoint shows it, and it alone', () => {
    expect(found(altered)).toEqual([`w1 1:${nextCheckpoint + 1} signature`])
    expect(found(altered, { publicKeys: [KEYS.publicKey] })).toEqual([`w1 1:${nextCheckpoint + 1} signature`])
    expect(found(shorter, { publicKeys: [KEYS.publicKey] })).toEqual([`w1 1:${nextCheckpoint} signature`])
  })

  test('has not what a sink has: its copy shows it without any key', () => {
    expect(found(altered, { checkpoints: JOURNAL.checkpoints })).toEqual([`w1 1:${nextCheckpoint + 1} altered`])
    expect(found(altered, { checkpoints: JOURNAL.checkpoints.slice(-1) })).toEqual(['w1 1:200 altered'])
    expect(found(shorter, { checkpoints: JOURNAL.checkpoints.slice(-1) })).toEqual(['w1 1:200 truncated'])
  })

  test('leaves a bare chain whole: that is what keys and sinks are for', () => {
    expect(verdictOf({ w1: { 1: altered } })).toMatchObject({ ok: true })
    expect(verdictOf({ w1: { 1: LINES.slice(0, 120) } })).toMatchObject({ ok: true })
  })

  test('and takes the checkpoints away, leaves a journal that nobody vouches for', () => {
    const bare = rechained(
      LINES.filter((line) => !line.includes('"audit.checkpoint"')),
      0,
    )
    expect(verdictOf({ w1: { 1: bare } }, { publicKeys: [KEYS.publicKey] })).toMatchObject({
      ok: true,
      unanchored: bare.length,
    })
    expect(found(bare).map((each) => each.split(' ').at(-1))).toEqual(['truncated'])
  })

  test('cannot sign with a key of his own', () => {
    const own = closedJournal(200, 'w1', OTHER_KEYS)
    const first = own.lines.findIndex((line) => line.includes('"audit.checkpoint"'))
    const verdict = verdictOf({ w1: { 1: own.lines } }, { publicKeys: [KEYS.publicKey] })
    expect(told(verdict)).toEqual([`w1 1:${first + 1} signature`])
    expect(verdict.unanchored).toBe(200)
  })

  test('and does not number again, is found by the numbers', () => {
    const members = LINES.map((line) => JSON.parse(line) as Record<string, unknown>)
    members.splice(at, 3)
    const lines: string[] = []
    for (const each of members) {
      lines.push(JSON.stringify({ ...each, prev: lines.length === 0 ? null : sha256(lines.at(-1) ?? '') }))
    }
    const [first] = found(lines, {})
    expect(first).toMatch(/^w1 1:(58|59|60) deleted$/)
  })
})

describe('a checkpoint', () => {
  test('of the past, put at the end of a journal that was cut, is no end', () => {
    const old = JOURNAL.checkpoints[1] ?? ''
    const cut = [...LINES.slice(0, 150), old]
    expect(found(cut, { publicKeys: [KEYS.publicKey] })).toEqual(['w1 1:151 inserted'])
    expect(found(cut)).toEqual(['w1 1:151 inserted', 'w1 1:152 truncated'])
    expect(found(rechained(cut, 150), { publicKeys: [KEYS.publicKey] })).toEqual(['w1 1:151 signature'])
  })

  test('that nobody signed is a finding, with keys or without', () => {
    const own = handWriter('w1', null)
    own.checkpoint()
    expect(found(own.lines, {})).toEqual(['w1 1:2 signature'])
    expect(found(own.lines, { publicKeys: [KEYS.publicKey] })).toEqual(['w1 1:2 signature'])
  })

  test('that is there in two versions is a fork: one of the two cannot stand', () => {
    const [text = ''] = JOURNAL.checkpoints
    const line = LINES.indexOf(text) + 1
    const mine = handWriter('w1')
    const theirs = handWriter('w1')
    mine.event()
    theirs.event({ requestId: 'other' })
    const both = [mine.checkpoint(), theirs.checkpoint()]
    const outside = { publicKeys: [KEYS.publicKey], checkpoints: both }
    expect(found(mine.lines, outside)).toEqual(['w1 1:3 altered'])
    expect(found(theirs.lines, outside)).toEqual(['w1 1:3 altered'])
    expect(found(LINES, { checkpoints: [forged(text)] })).toEqual([`w1 1:${line} altered`])
  })

  test('that a sink was given by somebody who cannot sign proves nothing but that', () => {
    const [text = ''] = JOURNAL.checkpoints
    const outside = { publicKeys: [KEYS.publicKey], checkpoints: [forged(text, { prev: sha256('nothing') })] }
    expect(found(LINES, outside)).toEqual([`w1 1:${LINES.indexOf(text) + 1} signature`])
    expect(found(LINES.slice(0, 20), outside)).toEqual(['w1 1:21 signature'])
  })

  test('is the same as text, as line with newline, as event and as both', () => {
    const text = JOURNAL.checkpoints[0] ?? ''
    const event = JSON.parse(text) as never
    const turned = Object.fromEntries(Object.entries(event).toReversed()) as never
    const line = LINES.indexOf(text) + 1
    for (const given of [text, `${text}\n`, event, turned, { event, text }]) {
      const checkpoints = [given]
      expect(found(LINES, { checkpoints })).toEqual([])
      const other = LINES.with(line - 1, forged(text))
      expect(found(rechained(other, line), { checkpoints })).toEqual([`w1 1:${line} altered`])
    }
  })

  test('whose line is gone is not reported a second time', () => {
    const { checkpoints } = JOURNAL
    const at = LINES.indexOf(checkpoints[2] ?? '')
    expect(found(LINES.toSpliced(at - 1, 3), { checkpoints })).toEqual([`w1 1:${at} deleted`])
  })

  test('of a writer that is not there is a missing journal', () => {
    const outside = { checkpoints: JOURNAL.checkpoints }
    expect(told(verdictOf({}, outside))).toEqual(['w1 1:1 segment-missing'])
    expect(told(verdictOf({ w1: {} }, outside))).toEqual(['w1 1:1 segment-missing'])
    expect(told(verdictOf({ w1: { 1: [] } }, outside))).toEqual(['w1 1:1 truncated'])
  })
})

describe('a torn tail', () => {
  const open = handWriter('w1')
  for (let each = 0; each < 10; each += 1) open.event()
  open.checkpoint()
  open.intent()
  const next = LINES[20] ?? ''
  const verdict = (lines: readonly string[], tail: string, outside: Outside = { publicKeys: [KEYS.publicKey] }) =>
    verdictOf({ w1: { 1: { lines, tail } } }, outside)

  test('is a crash, and no finding', () => {
    for (const tail of [next.slice(0, 1), next.slice(0, -1), next, '\0'.repeat(100)]) {
      expect(verdict(open.lines, tail)).toMatchObject({ ok: true, tornTail: true, unanchored: 1, findings: [] })
      expect(verdict([], tail)).toMatchObject({ ok: true, tornTail: true })
    }
  })

  test('is a finding where a sink knows more', () => {
    const checkpoints = open.checkpoints.slice(-1)
    const at = open.lines.indexOf(checkpoints[0] ?? '')
    expect(verdict(open.lines, next, { checkpoints })).toMatchObject({ ok: true, tornTail: true })
    const cut = verdict(open.lines.slice(0, at), (open.lines[at] ?? '').slice(0, 50), { checkpoints })
    expect(cut).toMatchObject({ ok: false, tornTail: false })
    expect(told(cut)).toEqual([`w1 1:${at + 1} truncated`])
  })

  test('is a finding behind the end of a writer that was closed', () => {
    expect(told(verdict(LINES, next.slice(0, 80)))).toEqual(['w1 1:201 malformed'])
    const unsigned = closedJournal(30, 'w1', null)
    expect(told(verdict(unsigned.lines, next.slice(0, 80)))).toEqual(['w1 1:31 malformed'])
  })

  test('is a crash where the last checkpoint was just being written', () => {
    const last = LINES.at(-1) ?? ''
    for (const end of [1, 30, 60, 100, 400, last.length]) {
      expect(verdict(LINES.slice(0, -1), last.slice(0, end))).toMatchObject({ ok: true, tornTail: true })
    }
  })

  test('in front of another segment is a finding: whole where nothing is missing, and cut where it is', () => {
    const of = (lines: readonly string[], tail: string, more: readonly string[]) =>
      told(verdictOf({ w1: { 1: { lines, tail }, 2: more } }, OUTSIDE))
    expect(of(LINES.slice(0, 60), 'x', LINES.slice(60))).toEqual(['w1 1:61 inserted'])
    expect(of(LINES.slice(0, 60), (LINES[60] ?? '').slice(0, 99), LINES.slice(61))).toEqual(['w1 1:61 truncated'])
    expect(of(LINES.slice(0, 60), (LINES[60] ?? '').slice(0, 99), LINES.slice(80))).toEqual(['w1 1:61 truncated'])
  })
})

test('a journal of junk gives its first 1,000 findings, and no more', () => {
  const lines = Array.from({ length: 12 }, () => LINES.flatMap((line, index) => [line, `junk ${index}`]))
  const many = Object.fromEntries(lines.map((each, index) => [`w${index}`, { 1: each }]))
  expect(verdictOf({ w1: { 1: lines[0] ?? [] } }).findings).toHaveLength(200)
  expect(
    verdictOf(Object.fromEntries(Array.from({ length: 1200 }, (_, index) => [`x${index}`, { 1: ['junk'] }]))),
  ).toMatchObject({
    ok: false,
    findings: { length: 1000 },
  })
  expect(verdictOf(many)).toMatchObject({ ok: false, events: 12 * LINES.filter((line) => !isIntent(line)).length })
})
