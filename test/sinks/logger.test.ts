import { Console } from 'node:console'
import { Writable } from 'node:stream'
import Fastify from 'fastify'
import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { loggerSink, type AuditLogger } from '../../src/sinks/logger.ts'
import type { AuditDraft, AuditEvent } from '../../src/audit/event.ts'
import { draft, memoryRecorder, refusal } from '../fixtures/audit.ts'

function memoryStream(): { stream: Writable; text(): string } {
  const chunks: string[] = []
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString())
      done()
    },
  })
  return { stream, text: () => chunks.join('') }
}

/** Records the drafts on a test server whose only listener is the logger. */
async function log(logger: AuditLogger, ...drafts: readonly AuditDraft[]): Promise<AuditEvent[]> {
  const { recorder, events } = memoryRecorder({ sinks: [loggerSink(logger)] })
  for (const each of drafts) recorder.record(each)
  await recorder.flush()
  expect(recorder.health().sinkErrors).toEqual({})
  return events
}

describe('the logger sink writes', () => {
  test('to pino', async () => {
    const { stream, text } = memoryStream()
    const events = await log(pino({ base: null, timestamp: false, level: 'info' }, stream), draft(), refusal())
    const lines = text()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)
    expect(lines).toEqual([
      { level: 30, audit: events[0], msg: 'healthcloud.audit.access' },
      { level: 40, audit: events[1], msg: 'healthcloud.audit.access' },
    ])
  })

  test("to pino without touching pino's own time and name", async () => {
    const { stream, text } = memoryStream()
    await log(pino({ name: 'records' }, stream), draft())
    expect(text().match(/"time":/g)).toHaveLength(2)
    const { time, name, audit } = JSON.parse(text()) as { time: number; name: string; audit: AuditEvent }
    expect([typeof time, name, audit.name, audit.time]).toEqual([
      'number',
      'records',
      'request',
      '2026-11-24T03:05:11.123Z',
    ])
  })

  test("to Fastify's logger", async () => {
    const { stream, text } = memoryStream()
    const app = Fastify({ logger: { stream } })
    const [event] = await log(app.log, draft())
    await app.close()
    expect(JSON.parse(text())).toMatchObject({ level: 30, audit: event, msg: 'healthcloud.audit.access' })
  })

  test('to the console, one line of JSON for each event', async () => {
    const out = memoryStream()
    const err = memoryStream()
    const events = await log(new Console(out.stream, err.stream), draft({ requestId: 'a\nb' }), refusal())
    expect(out.text()).toBe(`${JSON.stringify(events[0])} healthcloud.audit.access\n`)
    expect(err.text()).toBe(`${JSON.stringify(events[1])} healthcloud.audit.access\n`)
  })

  test.each([
    ['success', 'info'],
    ['denied', 'warn'],
    ['error', 'warn'],
    ['aborted', 'warn'],
    ['interrupted', 'warn'],
  ] as const)('an event that ended with %s as %s', async (outcome, level) => {
    const said: string[] = []
    await log(
      { info: (_, message) => said.push(`info ${message}`), warn: (_, message) => said.push(`warn ${message}`) },
      draft({ outcome, kind: 'auth' }),
    )
    expect(said).toEqual([`${level} healthcloud.audit.auth`])
  })

  test('everything as info where the logger knows nothing else', async () => {
    const said: string[] = []
    await log({ info: (_, message) => said.push(message) }, refusal({ kind: 'admin' }))
    expect(said).toEqual(['healthcloud.audit.admin'])
  })
})

describe('the logger sink', () => {
  test('does not acknowledge, and is named', () => {
    const logger = { info: () => undefined }
    expect(loggerSink(logger)).toMatchObject({ name: 'logger', acks: false })
    expect(loggerSink(logger, { name: 'second' }).name).toBe('second')
  })

  test('calls methods on the logger, as classes need it', async () => {
    class Logger {
      readonly said: string[] = []
      info(_: object, message: string): void {
        this.said.push(message)
      }
    }
    const logger = new Logger()
    await log(logger, draft())
    expect(logger.said).toEqual(['healthcloud.audit.access'])
  })

  test('goes on after an entry that the logger throws on, and has it counted', async () => {
    const said: (string | null)[] = []
    const logger: AuditLogger = {
      info: (entry) => {
        const { requestId } = (entry as { audit: AuditEvent }).audit
        if (requestId === 'r1') throw new Error('mine')
        said.push(requestId)
      },
    }
    const { recorder } = memoryRecorder({ sinks: [loggerSink(logger)] })
    for (const requestId of ['r1', 'r2']) recorder.record(draft({ requestId }))
    await recorder.flush()
    expect(said).toEqual(['r2'])
    expect(recorder.health().sinkErrors).toEqual({ logger: 1 })
  })

  test.each([undefined, null, {}, { info: 'no function' }])('refuses %j as a logger', (logger) => {
    expect(() => loggerSink(logger as unknown as AuditLogger)).toThrow('info(object, message)')
  })
})
