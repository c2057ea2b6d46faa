import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readSegmentEnd } from '../../../src/audit/journal/segment-end.ts'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hc-auth-segment-end-'))
})
afterAll(() => {
  rmSync(directory, { recursive: true })
})

const RECORDED = '2026-11-24T03:05:11.123Z'
const event = (seq: number, pad = 0) =>
  `{"v":1,"id":"i","recorded":"${RECORDED}","pad":"${'x'.repeat(pad)}","seq":${seq}}`
const intent = (n: number, pad = 0) => `{"v":1,"intent":"i","n":${n},"pad":"${'x'.repeat(pad)}"}`
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

async function endOf(text: string) {
  const path = join(directory, 'segment')
  writeFileSync(path, text)
  return readSegmentEnd(path)
}

const end = (seq: number, last: string) => ({ seq, recordedMs: Date.parse(RECORDED), lastHash: sha256(last) })

describe('a segment ends', () => {
  test.each<[string, string, ReturnType<typeof end> | null]>([
    ['with its last event', `${event(1)}\n${event(2)}\n`, end(2, event(2))],
    ['with the intents behind that', `${event(1)}\n${intent(4)}\n${intent(5)}\n`, end(1, intent(5))],
    ['before a line that was cut off', `${event(1)}\n${event(2)}\n${event(3).slice(0, 30)}`, end(2, event(2))],
    ['with a line that somebody has broken', `${event(1)}\n{"v":1,"id":"broken\n`, end(1, '{"v":1,"id":"broken')],
    ['with an empty line', `${event(1)}\n\n`, end(1, '')],
    ['with an event whose number is no number', `${event(1)}\n${event(Number.NaN)}\n`, end(1, event(Number.NaN))],
    [
      'with an event that was recorded at no time',
      `${event(1)}\n${event(2).replace(RECORDED, 'x')}\n`,
      end(1, event(2).replace(RECORDED, 'x')),
    ],
    ['nowhere, without an event', `${intent(1)}\n${intent(2)}\n`, null],
    ['nowhere, without a whole line', event(1), null],
    ['nowhere, empty', '', null],
    ['with the one line that it has', `${event(7)}\n`, end(7, event(7))],
    ['behind much else', `${event(1, 3_000_000)}\n${event(2)}\n`, end(2, event(2))],
    ['far behind its last event', `${event(1)}\n${intent(1, 3_000_000)}\n`, end(1, intent(1, 3_000_000))],
    ['with a line as long as what is read at first', `${event(1)}\n${event(2, 131_072)}\n`, end(2, event(2, 131_072))],
  ])('%s', async (_, text, expected) => {
    expect(await endOf(text)).toEqual(expected)
  })

  test('where whoever reads all of it finds the end, wherever lines meet what is read', async () => {
    const line = fc.tuple(fc.boolean(), fc.oneof(fc.nat({ max: 90 }), fc.nat({ max: 90_000 })))
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 6 }), async (drawn) => {
        const lines = drawn.map(([isEvent, pad], index) => (isEvent ? event(index, pad) : intent(index, pad)))
        const seq = drawn.findLastIndex(([isEvent]) => isEvent)
        const expected = seq === -1 ? null : end(seq, lines.at(-1) ?? '')
        expect(await endOf(lines.map((each) => `${each}\n`).join(''))).toEqual(expected)
      }),
      { numRuns: 200 },
    )
  })

  test('nowhere, where no file is', async () => {
    await expect(readSegmentEnd(join(directory, 'none'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
