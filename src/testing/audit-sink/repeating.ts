import assert from 'node:assert/strict'
import type { SinkCase, SinkSubject } from './subject.ts'

const SETTLES_WITHIN_MS = 5000
const TAKEN_WITHIN_MS = 3000

async function keepsOnce({ dedupes, writer, write, writeAgain, assertKept }: SinkSubject) {
  const one = writer()
  const batch = one.next(20)
  await write(batch)
  await write(batch)
  await writeAgain(batch)
  if (dedupes) await assertKept(one, batch)
}

async function keepsOverlapOnce({ dedupes, writer, write, writeAgain, assertKept }: SinkSubject) {
  const one = writer()
  const all = one.next(60)
  await write(all.slice(0, 30))
  await write(all.slice(15, 45))
  await writeAgain(all.slice(0, 60))
  await writeAgain(all.slice(10, 20))
  if (dedupes) await assertKept(one, all)
}

async function goesOnAfterARepetition({ dedupes, writer, write, writeAgain, assertKept }: SinkSubject) {
  const one = writer()
  const [first, second, third] = [one.next(5), one.next(5), one.next(5)]
  await write(first)
  await writeAgain(first)
  await writeAgain(second)
  await write(third)
  if (dedupes) await assertKept(one, [...first, ...second, ...third])
}

/** Whatever an abort cuts off comes again. Only a sink that acknowledges promises anything of it. */
async function endsWithItsSignal({ sink, dedupes, writer, write, assertKept }: SinkSubject) {
  if (!sink.acks) return
  const one = writer()
  const batch = one.next(200)
  await assert.rejects(async () => sink.write(batch, AbortSignal.abort()), 'a batch whose signal is aborted')
  const ending = new AbortController()
  const writing = sink.write(batch, ending.signal).then(
    () => 'settled',
    () => 'settled',
  )
  ending.abort()
  assert.equal(await Promise.race([writing, late()]), 'settled')
  await untilTaken(() => write(batch))
  if (dedupes) await assertKept(one, batch)
}

/** A receiver may need a moment for what was cut off; whoever feeds a sink tries again. */
async function untilTaken(write: () => Promise<void>): Promise<void> {
  for (const end = Date.now() + TAKEN_WITHIN_MS; ; await rest()) {
    try {
      return await write()
    } catch (error) {
      if (Date.now() > end) throw error
    }
  }
}

function rest(): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, 100))
}

function late(): Promise<string> {
  return new Promise((resolve) => void setTimeout(resolve, SETTLES_WITHIN_MS, 'late').unref())
}

async function closesAgain({ sink, writer, write, assertKept }: SinkSubject) {
  const one = writer()
  const batch = one.next(2)
  await write(batch)
  await sink.close?.()
  await sink.close?.()
  await assertKept(one, batch)
}

export const repeatingCases: readonly SinkCase[] = [
  ['keeps a batch that comes again once', keepsOnce],
  ['keeps what two batches share once', keepsOverlapOnce],
  ['goes on after a batch that came again', goesOnAfterARepetition],
  ['ends with its signal, and takes the same batch later', endsWithItsSignal],
  ['closes twice, and loses nothing by it', closesAgain],
]
