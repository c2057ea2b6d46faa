import assert from 'node:assert/strict'
import type { AuditEvent } from '../../audit/event.ts'
import type { SinkCase, SinkSubject } from './subject.ts'

const LONG = 32_768

/** What a line may hold, although the recorder lets little of it through. */
const TEXTS: readonly (readonly [string, string])[] = [
  ['quotes and backslashes', String.raw`"\" \\ \u0041 '' $1 %s {{x}} <b> &amp;`],
  ['line ends that are none', 'a\u2028b\u2029c\u0085d\r\ne\tf'],
  ['emoji and umlauts', '\u{1F3E5} Müller e\u0301 \u{1F468}\u200D\u{1F469}'],
  ['a zero character', 'a\0b'],
  ['half of a surrogate pair', 'a\uD83Cb'],
  ['a prototype', '__proto__'],
]

async function keepsUnusualText({ writer, write, assertKept }: SinkSubject) {
  const unusual = writer()
  const change = (seq: number): Partial<AuditEvent> => ({ requestId: TEXTS[seq - 1]?.[1] ?? null })
  const lines = unusual.next(TEXTS.length, change)
  await write(lines)
  await assertKept(unusual, lines)
}

async function keepsLongLines({ writer, write, assertKept }: SinkSubject) {
  const long = writer()
  const bare = writer().next(1, () => ({ requestId: '' }))[0]?.text.length ?? 0
  const lines = long.next(3, (seq) => (seq === 2 ? { requestId: 'x'.repeat(LONG - bare - 64) } : {}))
  await write(lines)
  await assertKept(long, lines)
}

async function keepsCheckpoints({ writer, write, assertKept }: SinkSubject) {
  const one = writer()
  const signature = 'A'.repeat(86)
  const seal = { kind: 'system', name: 'audit.checkpoint', http: null, phi: null, requestId: null } as const
  const lines = one.next(2, (seq) =>
    seq === 1 ? {} : { ...seal, checkpoint: { keyId: 'ed25519:0123456789abcdef', signature } },
  )
  assert.ok(lines[1]?.text.endsWith(`"signature":"${signature}"}}`))
  await write(lines)
  await assertKept(one, lines)
}

async function keepsFiveHundred({ writer, write, assertKept }: SinkSubject) {
  const many = writer()
  const first = many.next(500)
  const second = many.next(500)
  await write(first)
  await write(second)
  await assertKept(many, [...first, ...second])
}

async function keepsWritersApart({ writer, write, assertKept }: SinkSubject) {
  const writers = Array.from({ length: 4 }, () => {
    const one = writer()
    return { one, batches: [one.next(20), one.next(1), one.next(30)] }
  })
  await Promise.all(
    writers.map(async ({ batches }) => {
      for (const batch of batches) await write(batch)
    }),
  )
  for (const { one, batches } of writers) await assertKept(one, batches.flat())
}

export const keepingCases: readonly SinkCase[] = [
  [
    'has a name and says whether it acknowledges',
    async ({ sink }) => {
      assert.equal(typeof sink.acks, 'boolean')
      assert.match(sink.name, sink.acks ? /^[a-z0-9-]{1,64}$/ : /./)
      for (const flag of [sink.required, sink.retains]) {
        assert.ok(flag === undefined || typeof flag === 'boolean')
        assert.ok(flag !== true || sink.acks, 'what does not acknowledge cannot be relied on')
      }
    },
  ],
  ['takes an empty batch', async ({ write }) => write(Object.freeze([]))],
  [
    'keeps the lines of a writer, to the byte and in their order, batch after batch',
    async ({ writer, write, assertKept }) => {
      const one = writer()
      const batches = [one.next(3), one.next(1), one.next(5)]
      for (const batch of batches) await write(batch)
      await assertKept(one, batches.flat())
    },
  ],
  ['keeps text of every sort', keepsUnusualText],
  ['keeps a line of almost 32 KiB', keepsLongLines],
  ['keeps a checkpoint with its signature', keepsCheckpoints],
  ['keeps batches of 500 lines', keepsFiveHundred],
  ['keeps several writers apart that write at the same time', keepsWritersApart],
]
