import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createChain } from '../../../src/audit/chain/chain.ts'
import { createCheckpointSigner } from '../../../src/audit/chain/checkpoint.ts'
import { verifyJournal, type JournalKey, type VerifyOptions } from '../../../src/audit/journal/verify.ts'
import { createJournalWriter } from '../../../src/audit/journal/writer.ts'
import { systemDraft } from '../../../src/audit/chain/system-draft.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { draft } from '../../fixtures/audit.ts'
import { closedJournal, forged, handWriter, KEYS, OTHER_KEYS, textOf, told } from './verify-journal.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hc-auth-verify-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

const pathOf = (writer: string, number: number) => join(directory, writer, `${String(number).padStart(8, '0')}.jsonl`)

function put(writer: string, number: number, content: string | Buffer): void {
  mkdirSync(join(directory, writer), { recursive: true })
  writeFileSync(pathOf(writer, number), content)
}

const found = async (options?: VerifyOptions) => told(await verifyJournal(directory, options))
const JOURNAL = closedJournal(100)
const PUBLIC = { publicKeys: [KEYS.publicKey] }

describe('a journal on the disk', () => {
  test('as our own parts write it is good', async () => {
    const settings = { environment: 'live', writer: 'w1', clock: systemClock, linked: true } as const
    const signer = createCheckpointSigner(KEYS.privateKey)
    const chain = createChain({ ...settings, service: { name: 'records', version: null, instance: 'i' }, signer })
    const journal = createJournalWriter({ directory, writer: 'w1', clock: systemClock, segmentBytes: 9000 })
    const checkpoints: string[] = []
    const add = (line: ReturnType<typeof chain.next>): void => {
      expect(journal.append(line.text)).toBe(true)
      chain.add(line)
      if (line.event.name === 'audit.checkpoint') checkpoints.push(line.text)
    }
    journal.open()
    add(chain.next(systemDraft('audit.started', Date.now())))
    for (let each = 1; each <= 60; each += 1) {
      const { http, ...known } = draft({ requestId: `é😀${each}` })
      const intent = chain.nextIntent({ ...known, http: { method: 'GET', route: '/:id', query: [] } }, null)
      expect(journal.append(intent.text)).toBe(true)
      chain.addIntent(intent)
      add(chain.next({ ...known, http, id: intent.id }))
      if (each % 20 === 0) add(chain.next(systemDraft('audit.checkpoint', Date.now())))
    }
    add(chain.next(systemDraft('audit.stopped', Date.now())))
    add(chain.next(systemDraft('audit.checkpoint', Date.now())))
    journal.close()
    expect(journal.end.segment).toBeGreaterThan(5)
    const verdict = await verifyJournal(directory, { ...PUBLIC, checkpoints })
    expect(verdict).toEqual({ ok: true, events: 66, unanchored: 0, tornTail: false, findings: [] })
  })

  test('is judged over all writers and segments, in their order', async () => {
    const other = closedJournal(40, 'a2')
    put('w1', 1, textOf(JOURNAL.lines.slice(0, 50)))
    put('w1', 2, textOf(JOURNAL.lines.slice(50)))
    put('a2', 1, textOf(other.lines))
    expect(await verifyJournal(directory, PUBLIC)).toMatchObject({ ok: true, unanchored: 0, findings: [] })
    put('w1', 2, textOf(JOURNAL.lines.slice(50).toSpliced(9, 1)))
    put('w1', 1, textOf(JOURNAL.lines.slice(0, 50).with(3, forged(JOURNAL.lines[3] ?? ''))))
    put('a2', 1, textOf(other.lines).replace('"via":0', '"via":7'))
    expect(await found(PUBLIC)).toEqual(['a2 1:1 altered', 'w1 1:4 altered', 'w1 2:10 deleted'])
  })

  test('may be empty, and what else lies there is passed over', async () => {
    const nothing = { ok: true, events: 0, unanchored: 0, tornTail: false, findings: [] }
    expect(await verifyJournal(directory)).toEqual(nothing)
    put('w1', 1, '')
    mkdirSync(join(directory, 'w2'))
    mkdirSync(join(directory, 'not a writer'))
    writeFileSync(join(directory, 'README'), 'not a journal')
    for (const name of ['owner', 'cursor.json', '1.jsonl', '00000002.jsonl.tmp']) {
      writeFileSync(join(directory, 'w1', name), 'not a journal')
    }
    expect(await verifyJournal(directory)).toEqual(nothing)
  })

  test('is a real one: a link to a file elsewhere is no segment', async () => {
    put('w1', 1, textOf(JOURNAL.lines.slice(0, 50)))
    put('w1', 3, textOf(JOURNAL.lines.slice(60)))
    writeFileSync(join(directory, 'elsewhere'), textOf(JOURNAL.lines.slice(50, 60)))
    symlinkSync(join(directory, 'elsewhere'), pathOf('w1', 2))
    expect(await found(PUBLIC)).toEqual(['w1 2:1 segment-missing'])
  })

  test('that is not there is an error', async () => {
    await expect(verifyJournal(join(directory, 'nowhere'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('bytes are read as they stand:', () => {
  const lines = (size: number) => {
    const own = handWriter('w1')
    while (own.lines.length < 60) own.event({ requestId: 'x'.repeat(size + own.lines.length) })
    own.stop()
    return own.lines
  }

  test('lines and characters may be cut anywhere by the buffer', async () => {
    put('w1', 1, textOf(lines(9000)))
    expect(await found(PUBLIC)).toEqual([])
  })

  test('a line has at most 32 KiB', async () => {
    const own = handWriter('w1')
    const bare = Buffer.byteLength(forged(own.event({ requestId: '' }), { requestId: '' }))
    own.event({ requestId: 'x'.repeat(32_768 - bare) })
    own.event()
    expect(Buffer.byteLength(own.lines[2] ?? '')).toBe(32_768)
    put('w1', 1, textOf(own.lines))
    expect(await found()).toEqual([])
    own.event({ requestId: 'x'.repeat(32_769 - bare) })
    own.event()
    expect(Buffer.byteLength(own.lines[4] ?? '')).toBe(32_769)
    put('w1', 1, textOf(own.lines))
    expect(await found()).toEqual(['w1 1:5 malformed'])
  })

  test('what never ends is one finding, and what follows is examined', async () => {
    for (const size of [32_768, 262_143, 262_144, 262_145, 3_000_000]) {
      const text = textOf(JOURNAL.lines.slice(0, 40)) + `${'x'.repeat(size)}\n` + textOf(JOURNAL.lines.slice(41, 60))
      put('w1', 1, text + textOf(JOURNAL.lines.slice(61)))
      expect(await found(PUBLIC)).toEqual(['w1 1:41 malformed', 'w1 1:61 deleted'])
    }
  })

  test('what never ends at the end is a tail', async () => {
    put('w1', 1, textOf(JOURNAL.lines.slice(0, 50)) + '\0'.repeat(400_000))
    expect(await verifyJournal(directory, PUBLIC)).toMatchObject({ ok: true, tornTail: true })
    put('w1', 1, textOf(JOURNAL.lines) + 'x'.repeat(400_000))
    expect(await found(PUBLIC)).toEqual(['w1 1:101 malformed'])
  })

  test('an end without newline is the same on the disk: torn, or cut where a sink knows more', async () => {
    const whole = Buffer.from(textOf(JOURNAL.lines))
    const half = whole.subarray(0, whole.length - 1400)
    put('w1', 1, half)
    expect(await verifyJournal(directory, PUBLIC)).toMatchObject({ ok: true, tornTail: true })
    const verdict = await verifyJournal(directory, { ...PUBLIC, checkpoints: JOURNAL.checkpoints })
    expect(verdict).toMatchObject({ ok: false, tornTail: false, findings: [{ kind: 'truncated' }] })
  })
})

test('a journal that is being written is good whenever one looks', { timeout: 30_000 }, async () => {
  const text = Buffer.from(textOf(JOURNAL.lines))
  put('w1', 1, '')
  const progress = { done: false }
  const write = async (): Promise<void> => {
    // In pieces that respect nothing: each look finds another torn tail.
    for (let at = 0; at < text.length; at += 977) {
      appendFileSync(pathOf('w1', 1), text.subarray(at, at + 977))
      await wait(1)
    }
    progress.done = true
  }
  const writing = write()
  let torn = 0
  while (!progress.done) {
    const verdict = await verifyJournal(directory, PUBLIC)
    expect(verdict.findings).toEqual([])
    if (verdict.tornTail) torn += 1
  }
  await writing
  expect(torn).toBeGreaterThan(3)
  expect(await verifyJournal(directory, PUBLIC)).toMatchObject({ ok: true, tornTail: false, unanchored: 0 })
})

test('segments that are deleted because of their age while one looks are no finding', { timeout: 30_000 }, async () => {
  const { seq } = JSON.parse(JOURNAL.lines[39] ?? '') as { seq: number }
  const { prev } = JSON.parse(JOURNAL.lines[40] ?? '') as { prev: string }
  const keeper = handWriter('a0')
  // Takes a while to read: by then the other's files are listed and not yet opened, and the keeper's end is fixed.
  while (keeper.lines.length < 150) keeper.event({ requestId: 'x'.repeat(30_000) })
  put('a0', 1, textOf(keeper.lines))
  put('w1', 1, textOf(JOURNAL.lines.slice(0, 40)))
  put('w1', 2, textOf(JOURNAL.lines.slice(40)))
  const looking = found(PUBLIC)
  await wait(5)
  appendFileSync(
    pathOf('a0', 1),
    `${keeper.retention({ writer: 'w1', segments: [1, 1], lastSeq: seq, lastHash: prev })}\n`,
  )
  unlinkSync(pathOf('w1', 1))
  expect(await looking).toEqual([])
  rmSync(pathOf('a0', 1))
  expect(await found(PUBLIC)).toEqual(['w1 1:1 segment-missing'])
})

describe('a public key', () => {
  beforeEach(() => {
    put('w1', 1, textOf(JOURNAL.lines))
  })

  test.each<[string, JournalKey]>([
    ['PEM', KEYS.publicKey.export({ type: 'spki', format: 'pem' }).toString()],
    ['JWK', KEYS.publicKey.export({ format: 'jwk' })],
    ['KeyObject', createPublicKey(KEYS.publicKey.export({ type: 'spki', format: 'pem' }))],
  ])('is taken as %s', async (_, key) => {
    expect(await verifyJournal(directory, { publicKeys: [key] })).toMatchObject({ ok: true, unanchored: 0 })
    expect(await verifyJournal(directory, { publicKeys: [OTHER_KEYS.publicKey, key] })).toMatchObject({ ok: true })
  })

  test('that is another one vouches for nothing, and an empty list for nobody', async () => {
    const first = JOURNAL.lines.findIndex((line) => line.includes('"audit.checkpoint"')) + 1
    for (const publicKeys of [[OTHER_KEYS.publicKey], []]) {
      const verdict = await verifyJournal(directory, { publicKeys })
      expect(told(verdict)).toEqual([`w1 1:${first} signature`])
      expect(verdict.unanchored).toBe(100)
    }
  })

  const secret = KEYS.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  test.each<[string, unknown]>([
    ['a private key as PEM', secret],
    ['a private key as JWK', KEYS.privateKey.export({ format: 'jwk' })],
    ['a private KeyObject', KEYS.privateKey],
    ['of another kind', generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey],
    ['text', 'canary-no-key'],
    ['null', null],
    ['a number', 7],
  ])('is refused where it is %s, and not shown', async (_, key) => {
    const error: unknown = await verifyJournal(directory, { publicKeys: [KEYS.publicKey, key as JournalKey] }).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toContain('`publicKeys[1]` is no public key of Ed25519')
    expect(String(error)).not.toMatch(/canary|BEGIN/)
    expect(Object.hasOwn(error as Error, 'cause')).toBe(false)
  })
})

test.each<[string, unknown]>([
  ['an event of another name', JOURNAL.lines[0]],
  ['an intent', JOURNAL.lines[1]],
  ['half a line', JOURNAL.checkpoints[0]?.slice(0, 200)],
  ['an object of something else', { text: 'canary' }],
  ['an empty object', {}],
  ['null', null],
])('a checkpoint that is %s is refused, and not shown', async (_, checkpoint) => {
  const checkpoints = [JOURNAL.checkpoints[0] ?? '', checkpoint as string]
  await expect(verifyJournal(directory, { checkpoints })).rejects.toThrow(
    new TypeError('verifyJournal: `checkpoints[1]` is no `audit.checkpoint` event or line.'),
  )
})

test('options are not read from a prototype', async () => {
  put('w1', 1, textOf(JOURNAL.lines))
  const polluted = { publicKeys: [OTHER_KEYS.publicKey], checkpoints: ['nothing'], text: 'nothing', d: 'x' }
  Object.assign(Object.prototype, polluted)
  try {
    expect(await verifyJournal(directory, {})).toMatchObject({ ok: true })
    const checkpoints = [JSON.parse(JOURNAL.checkpoints[0] ?? '') as never]
    const publicKeys = [KEYS.publicKey.export({ format: 'jwk' })]
    expect(await verifyJournal(directory, { checkpoints, publicKeys })).toMatchObject({ ok: true })
  } finally {
    for (const name of Object.keys(polluted)) Reflect.deleteProperty(Object.prototype, name)
  }
})

test('memory stays flat', { timeout: 60_000 }, async () => {
  const own = handWriter('w1')
  const patients = Array.from({ length: 500 }, (_, index) => `pt_k1_${String(index).padStart(22, '0')}`)
  const phi = {
    interaction: 'read',
    types: [],
    patients,
    patientCount: 500,
    resourceCount: 1,
    bulk: true,
    attribution: 'route',
  }
  put('w1', 1, '')
  let bytes = 0
  for (let block = 0; block < 40; block += 1) {
    const from = own.lines.length
    for (let each = 0; each < 50; each += 1) own.event({ phi })
    const text = textOf(own.lines.slice(block === 0 ? 0 : from))
    bytes += text.length
    appendFileSync(pathOf('w1', 1), text)
  }
  expect(bytes).toBeGreaterThan(30_000_000)
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }, 1)
  expect(await verifyJournal(directory, PUBLIC)).toMatchObject({ ok: true, events: 2001 })
  clearInterval(timer)
  expect(most).toBeGreaterThan(0)
  expect(most).toBeLessThan(15_000_000)
})
