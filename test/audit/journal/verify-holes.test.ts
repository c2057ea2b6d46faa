import { describe, expect, test } from 'vitest'
import {
  closedJournal,
  handWriter,
  KEYS,
  OTHER_KEYS,
  sha256,
  told,
  verdictOf,
  type Outside,
  type Retention,
} from './verify-journal.ts'

const JOURNAL = closedJournal(100)
const LINES = JOURNAL.lines
const PUBLIC: Outside = { publicKeys: [KEYS.publicKey] }
/** Segments 1 to 5 of 20 lines. */
const SEGMENTS = [0, 1, 2, 3, 4].map((index) => LINES.slice(index * 20, index * 20 + 20))
const without = (...numbers: readonly number[]) =>
  Object.fromEntries(SEGMENTS.map((lines, index) => [index + 1, lines] as const).filter(([n]) => !numbers.includes(n)))

const seqAt = (line: string) => (JSON.parse(line) as { seq?: number }).seq
/** What a retention line says of the segments up to this one. */
const upTo = (last: number, change: Partial<Retention> = {}): Retention => {
  const gone = LINES.slice(0, last * 20)
  return {
    writer: 'w1',
    segments: [1, last],
    lastSeq: Math.max(...gone.map((line) => seqAt(line) ?? 0)),
    lastHash: sha256(gone.at(-1) ?? ''),
    ...change,
  }
}

describe('a segment that is gone', () => {
  test.each<[string, readonly number[], readonly string[]]>([
    ['the first', [1], ['w1 1:1 segment-missing']],
    ['in the middle', [3], ['w1 3:1 segment-missing']],
    ['two beside each other', [2, 3], ['w1 2:1 segment-missing', 'w1 3:1 segment-missing']],
    ['two apart', [1, 4], ['w1 1:1 segment-missing', 'w1 4:1 segment-missing']],
    ['the last, of which a sink knows', [5], ['w1 4:21 truncated']],
    ['all, of which a sink knows', [1, 2, 3, 4, 5], ['w1 1:1 segment-missing']],
  ])('(%s) is a finding for each file', (_, gone, findings) => {
    const outside = { ...PUBLIC, checkpoints: JOURNAL.checkpoints }
    expect(told(verdictOf({ w1: without(...gone) }, outside))).toEqual(findings)
  })

  test('at the end is not seen by the chain alone', () => {
    expect(told(verdictOf({ w1: without(5) }, PUBLIC))).toEqual([])
  })

  test('does not hide what else was done', () => {
    const segments = without(2)
    segments[3] = (segments[3] ?? []).toSpliced(10, 1, 'junk')
    segments[4] = (segments[4] ?? []).toSpliced(5, 1)
    expect(told(verdictOf({ w1: segments }, PUBLIC))).toEqual([
      'w1 2:1 segment-missing',
      'w1 3:11 malformed',
      'w1 4:6 deleted',
    ])
  })

  test('may be any number of them: the findings are bounded', () => {
    const verdict = verdictOf({ w1: { 1: SEGMENTS[0] ?? [], 99_999_999: SEGMENTS[1] ?? [] } })
    expect(verdict.findings).toHaveLength(1000)
    expect(verdict.findings[0]).toEqual({ writer: 'w1', segment: 2, line: 1, kind: 'segment-missing' })
  })
})

describe('a segment in the wrong place', () => {
  const [one = [], two = [], three = [], four = [], five = []] = SEGMENTS
  test.each<[string, Record<number, readonly string[]>, readonly string[]]>([
    ['copied to the end', { 1: one, 2: two, 3: three, 4: four, 5: five, 6: two }, ['w1 6:1 inserted']],
    ['copied between', { 1: one, 2: two, 3: two, 4: three, 5: four, 6: five }, ['w1 3:1 inserted']],
    ['copied in place of another', { 1: one, 2: two, 3: two, 4: four, 5: five }, ['w1 3:1 altered']],
    ['swapped with the next', { 1: one, 2: three, 3: two, 4: four, 5: five }, ['w1 2:1 reordered']],
    ['first of all', { 1: two, 2: one, 3: three, 4: four, 5: five }, ['w1 1:1 reordered']],
    ['emptied', { 1: one, 2: [], 3: three, 4: four, 5: five }, ['w1 3:1 deleted']],
    ['cut', { 1: one, 2: two.slice(0, 5), 3: three, 4: four, 5: five }, ['w1 3:1 deleted']],
    ['renamed, so that a number is free', { 1: one, 2: two, 4: three, 5: four, 6: five }, ['w1 3:1 segment-missing']],
  ])('(%s) is found', (_, segments, findings) => {
    expect(told(verdictOf({ w1: segments }, PUBLIC))).toEqual(findings)
  })
})

describe("another writer's", () => {
  test('whole journal under a new name is found at its first line, and anchors nothing', () => {
    const verdict = verdictOf({ w1: { 1: LINES }, w2: { 1: LINES } }, PUBLIC)
    expect(told(verdict)).toEqual(['w2 1:1 inserted'])
    expect(verdict.unanchored).toBe(100)
  })

  test('lines are strangers', () => {
    const strangers = closedJournal(30, 'w2').lines
    expect(told(verdictOf({ w1: { 1: LINES.toSpliced(50, 0, ...strangers) } }, PUBLIC))).toEqual(['w1 1:51 inserted'])
    expect(told(verdictOf({ w1: { 1: [...LINES, ...strangers] } }, PUBLIC))).toEqual(['w1 1:101 inserted'])
  })

  test('segment behind a hole is no better', () => {
    const strangers = closedJournal(30, 'w2').lines
    expect(told(verdictOf({ w1: { 2: [...strangers.slice(0, 1), ...LINES.slice(20)] } }, PUBLIC))).toEqual([
      'w1 1:1 segment-missing',
      'w1 2:1 altered',
    ])
  })
})

describe('a segment that was deleted because of its age', () => {
  const accountedBy = (retention: Retention, key = KEYS.privateKey, keys: typeof KEYS | null = KEYS) => {
    const own = handWriter('w0', keys)
    own.retention(retention, key)
    return { 1: own.lines }
  }

  test.each<[string, number, readonly number[]]>([
    ['the first', 1, [1]],
    ['the first three', 3, [1, 2, 3]],
    ['all but the last', 4, [1, 2, 3, 4]],
    ['all', 5, [1, 2, 3, 4, 5]],
    ['some of which are still there: the process died meanwhile', 3, [1]],
    ['some of which are still there, in the middle', 3, [2, 3]],
  ])('(%s) is no finding, whoever wrote it down', (_, last, gone) => {
    const outside = { ...PUBLIC, checkpoints: JOURNAL.checkpoints }
    const files = { w0: accountedBy(upTo(last)), w1: without(...gone) }
    expect(told(verdictOf(files, outside))).toEqual([])
    expect(told(verdictOf({ w1: without(...gone), x0: { 1: files.w0[1].map((line) => line) } }, outside))).not.toEqual(
      [],
    )
    expect(told(verdictOf(files))).toEqual([])
  })

  test('is no finding where the folder is gone as well', () => {
    const outside = { ...PUBLIC, checkpoints: JOURNAL.checkpoints }
    expect(told(verdictOf({ w0: accountedBy(upTo(5)) }, outside))).toEqual([])
    expect(told(verdictOf({ w0: accountedBy(upTo(4)) }, outside))).toEqual(['w1 5:1 segment-missing'])
  })

  test('may be written down in several steps, and by the writer itself', () => {
    const own = handWriter('w0')
    own.retention(upTo(2))
    own.retention({ ...upTo(3), segments: [3, 3] })
    expect(told(verdictOf({ w0: { 1: own.lines }, w1: without(1, 2, 3) }, PUBLIC))).toEqual([])
    const live = handWriter('w1')
    while (live.lines.length < 40) live.event()
    const gone = live.lines.slice(0, 20)
    live.retention({ writer: 'w1', segments: [1, 1], lastSeq: 20, lastHash: sha256(gone.at(-1) ?? '') })
    expect(told(verdictOf({ w1: { 2: live.lines.slice(20) } }, PUBLIC))).toEqual([])
  })

  test('without keys needs no signature', () => {
    const files = { w0: accountedBy(upTo(2), KEYS.privateKey, null), w1: without(1, 2) }
    expect(told(verdictOf(files))).toEqual([])
    expect(told(verdictOf(files, PUBLIC))).toEqual([
      'w0 1:2 signature',
      'w1 1:1 segment-missing',
      'w1 2:1 segment-missing',
    ])
  })

  test.each<[string, Retention, readonly number[], readonly string[]]>([
    ['fewer than are gone', upTo(1), [1, 2], ['w1 2:1 segment-missing']],
    ['another writer', { ...upTo(1), writer: 'w9' }, [1], ['w1 1:1 segment-missing']],
    ['later ones', { ...upTo(2), segments: [2, 2] }, [1, 2], ['w1 1:1 segment-missing']],
    ['another end', { ...upTo(1), lastHash: sha256('nothing') }, [1], ['w1 2:1 deleted']],
    ['another number', { ...upTo(1), lastSeq: 9 }, [1], ['w1 2:1 deleted']],
    ['none of them', upTo(1), [3], ['w1 3:1 segment-missing']],
  ])('is a finding where the line names %s', (_, retention, gone, findings) => {
    expect(told(verdictOf({ w0: accountedBy(retention), w1: without(...gone) }, PUBLIC))).toEqual(findings)
  })

  test('is a finding where the line is signed by nobody we know', () => {
    const files = { w0: accountedBy(upTo(1), OTHER_KEYS.privateKey), w1: without(1) }
    expect(told(verdictOf(files, PUBLIC))).toEqual(['w0 1:2 signature', 'w1 1:1 segment-missing'])
  })

  test('does not cover lines that were taken from the next one', () => {
    const segments = without(1)
    segments[2] = (segments[2] ?? []).slice(3)
    expect(told(verdictOf({ w0: accountedBy(upTo(1)), w1: segments }, PUBLIC))).toEqual(['w1 2:1 deleted'])
  })

  test('does not cover what was done to the first line behind it, and that is one finding', () => {
    for (const change of [{ prev: sha256('nothing') }, { requestId: 'other' }]) {
      const segments = without(1)
      const [first = '', ...rest] = segments[2] ?? []
      segments[2] = [JSON.stringify({ ...(JSON.parse(first) as object), ...change }), ...rest]
      expect(told(verdictOf({ w0: accountedBy(upTo(1)), w1: segments }, PUBLIC))).toEqual(['w1 2:1 altered'])
      segments[2] = ['junk', ...rest]
      expect(told(verdictOf({ w0: accountedBy(upTo(1)), w1: segments }, PUBLIC))).toEqual(['w1 2:1 malformed'])
    }
  })

  test('is not accounted for by a line that was put in between', () => {
    const own = handWriter('w0')
    own.retention(upTo(1))
    own.event()
    const [started = '', retention = '', event = ''] = own.lines
    const files = { w0: { 1: [started, event, retention] }, w1: without(1) }
    expect(told(verdictOf(files))).toContain('w0 1:2 reordered')
    const copy = { w0: { 1: closedJournal(30, 'w0').lines.toSpliced(9, 0, retention) }, w1: without(1) }
    expect(told(verdictOf(copy, PUBLIC))).toEqual(['w0 1:10 inserted', 'w1 1:1 segment-missing'])
  })
})
