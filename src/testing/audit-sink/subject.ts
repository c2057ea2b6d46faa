import assert from 'node:assert/strict'
import type { AuditLine, AuditSink } from '../../audit/sink.ts'
import { lineWriter, type LineWriter } from './lines.ts'

/** A sink that was opened for one case, and what is known of its receiver. */
export interface OpenedSink {
  readonly sink: AuditSink
  /** What the receiver holds of one writer, line by line, exact and in its order. Left out: it cannot be read. */
  readonly lines?: ((writer: string) => Promise<readonly string[]>) | undefined
  /** Another sink to the same receiver, as after a restart. Left out: this one is used again. */
  readonly again?: (() => AuditSink | Promise<AuditSink>) | undefined
  /** Ends the receiver, once the case has closed its sinks. */
  readonly close?: (() => Promise<void>) | undefined
}

/** The sink that a case looks at, and short ways to use it. */
export interface SinkSubject {
  readonly sink: AuditSink
  /** Whether what comes twice is kept once. */
  readonly dedupes: boolean
  writer(): LineWriter
  /** Writes a batch, and fails where one of its events was rejected. */
  write(batch: readonly AuditLine[]): Promise<void>
  /** The same, by another sink. */
  writeAgain(batch: readonly AuditLine[]): Promise<void>
  /** Fails where the receiver can be read and holds anything else of this writer, in this order. */
  assertKept(writer: LineWriter, lines: readonly AuditLine[]): Promise<void>
}

/** What the sink does, and the check of it. */
export type SinkCase = readonly [title: string, check: (subject: SinkSubject) => Promise<void>]

export function sinkSubject(opened: OpenedSink, dedupes: boolean): SinkSubject {
  const { sink, lines, again } = opened
  return {
    sink,
    dedupes,
    writer: lineWriter,
    write: (batch) => writeAll(sink, batch),
    writeAgain: async (batch) => {
      const other = (await again?.()) ?? sink
      await writeAll(other, batch)
      if (other !== sink) await other.close?.()
    },
    assertKept: async ({ writer }, expected) => {
      if (lines === undefined) return
      const texts = expected.map(({ text }) => text)
      assert.deepEqual(await lines(writer), texts)
    },
  }
}

async function writeAll(sink: AuditSink, batch: readonly AuditLine[]): Promise<void> {
  const result = await sink.write(batch, new AbortController().signal)
  assert.deepEqual(result?.rejected ?? [], [])
}
