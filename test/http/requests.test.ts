import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FRAMEWORKS, serve, type RunningServer } from './frameworks.ts'
import { ROUTES, ROWS, type Row } from './rows.ts'
import { send } from './send.ts'
import { createWorld, type World } from './world.ts'

const DOCS = 'https://healthcloud.ai/docs/api/authentication'

test('the table has at least 60 rows with names of their own', () => {
  expect(new Set(ROWS.map(({ name }) => name)).size).toBe(ROWS.length)
  expect(ROWS.length).toBeGreaterThanOrEqual(60)
})

describe.each(FRAMEWORKS.map((framework) => [framework.name, framework] as const))('%s', (_name, framework) => {
  let world: World
  let server: RunningServer

  beforeAll(async () => {
    world = await createWorld()
    server = await serve(framework, [world.auth], { routes: ROUTES })
  })

  afterAll(async () => {
    await server.close()
    await world.close()
  })

  test.each(ROWS.map((row, index) => [row.name, row, index] as const))('%s', async (_row, row, index) => {
    const requestId = `row-${index}`
    const answer = await ask(row, requestId)
    expect(answer.status).toBe(row.status)
    checkBody(row, answer.body, requestId)
    checkHeaders(row, answer.headers, requestId)
    await checkEvent(row, requestId)
  })

  function ask(row: Row, requestId: string) {
    const authorization = row.authorization?.(world) ?? []
    const values = typeof authorization === 'string' ? [authorization] : authorization
    return send(server.url, {
      method: row.method ?? 'GET',
      path: row.path ?? '/v1/me',
      headers: [
        ...values.map((value) => ['Authorization', value] as const),
        ['X-Request-Id', requestId],
        ...(row.headers?.(world) ?? []),
        ...(row.body === undefined ? [] : ([['Content-Type', 'application/json']] as const)),
      ],
      ...(row.body === undefined ? {} : { body: row.body }),
    })
  }

  function checkBody(row: Row, body: string, requestId: string) {
    if (row.method === 'HEAD') {
      expect(body).toBe('')
    } else if (row.code !== undefined) {
      expect(body).toBe(
        `{"error":{"code":"${row.code}","message":"${row.message}","requestId":"${requestId}","docsUrl":"${DOCS}"}}`,
      )
    } else if (row.answer !== undefined) {
      expect(JSON.parse(body)).toEqual(row.answer)
    }
  }

  function checkHeaders(row: Row, headers: Record<string, unknown>, requestId: string) {
    if (row.event !== null) expect(headers['x-request-id']).toBe(requestId)
    expect(headers['www-authenticate']).toBe(row.challenge)
    expect(headers['retry-after']).toBe(row.retryAfter)
    if (row.code === undefined) return
    expect(headers['content-type']).toBe('application/json; charset=utf-8')
    expect(headers['cache-control']).toBe('no-store')
    expect(headers).not.toHaveProperty('etag')
  }

  async function checkEvent(row: Row, requestId: string) {
    const events = (await world.flushed()).filter((event) => event.requestId === requestId)
    expect(events).toHaveLength(row.event === null ? 0 : 1)
    if (row.event !== null) {
      expect(events[0]).toMatchObject({
        kind: 'access',
        name: 'request',
        env: 'live',
        http: { status: row.status },
        delivered: row.method === 'HEAD' ? 'none' : 'full',
        ...row.event,
      })
    }
  }

  test('a call with a rotated key is told when the key ends, and its event says so', async () => {
    const answer = await send(server.url, {
      path: '/v1/me',
      headers: [
        ['Authorization', `Bearer ${world.keys['grace']}`],
        ['X-Request-Id', 'grace'],
      ],
    })
    const event = (await world.flushed()).find(({ requestId }) => requestId === 'grace')
    expect(event?.actor.graceEnds).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    expect(answer.headers['healthcloud-key-expires']).toBe(new Date(event?.actor.graceEnds ?? '').toUTCString())
  })

  test.each([
    ['kept', 'a.b-C_9', 'a.b-C_9'],
    ['too long', 'x'.repeat(65), null],
    ['a space in it', 'a b', null],
    ['a key in it', 'x-hc_live_sk_1', null],
    ['a key in other letters', 'HC_TEST_1', null],
    ['a token', 'eyJhbGciOi.eyJpc3Mi.c2ln', null],
  ])('an inbound request id that is %s', async (_what, inbound, kept) => {
    const { headers, body } = await send(server.url, { path: '/v1/me', headers: [['X-Request-Id', inbound]] })
    const id = headers['x-request-id']
    if (kept === null) expect(id).toMatch(/^req_[A-Za-z0-9]{8,}$/)
    else expect(id).toBe(kept)
    expect(JSON.parse(body)).toMatchObject({ error: { requestId: id } })
  })
})
