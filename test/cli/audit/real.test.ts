import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import request from 'supertest'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expressGuards } from '../../../adapters/express.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { createAuth, memoryKeyStore } from '../../../src/index.ts'
import { SECRET } from './journal.ts'
import { hcAuth, words } from '../hc-auth.ts'

/** The journals that two live servers wrote, one after the other, as an operator reads them. */
let directory: string
let keyId: string

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'hc-audit-real-'))
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  writeFileSync(join(directory, 'audit-key.pem'), publicKey.export({ type: 'spki', format: 'pem' }))
  const signingKey = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const store = memoryKeyStore()
  for (const patient of ['123', '124']) {
    const auth = createAuth({
      environment: 'live',
      keys: { store },
      transport: { https: 'off' },
      audit: { directory, signingKey, pseudonymKeys: [{ id: 'k1', secret: SECRET }] },
    })
    const { requireScope } = expressGuards(auth)
    const app = express().get(
      '/v1/patients/:id',
      requireScope('read:patients'),
      (_, response) => void response.json({}),
    )
    const by = 'anna'
    const { key, record } = await auth.keys.create({
      organizationId: 'org_1',
      environment: 'live',
      name: 'intake',
      scopes: ['read:patients'],
      by,
    })
    keyId = record.id
    const call = (bearer: string) =>
      request(app).get(`/v1/patients/${patient}`).set('authorization', `Bearer ${bearer}`)
    expect((await call(key)).status).toBe(200)
    expect((await call(`${key.slice(0, -1)}_`)).status).toBe(401)
    await auth.close()
  }
})

afterAll(() => rmSync(directory, { recursive: true }))

const audit = (line: string) =>
  hcAuth(words(`audit ${line}`), {
    env: { HEALTHCLOUD_AUDIT_DIR: directory, HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: `k1:${SECRET}` },
    cwd: directory,
  })

const eventsOf = (text: string) =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as AuditEvent)

test('is intact, and signed to its end', async () => {
  const { code, stdout } = await audit('verify --public-key audit-key.pem --json')
  expect([code, JSON.parse(stdout)]).toMatchObject([0, { ok: true, unanchored: 0, tornTail: false, findings: [] }])
})

test('knows who has seen a patient', async () => {
  const { code, stdout } = await audit('query --patient Patient/124 --org org_1 --outcome success --json')
  expect(code).toBe(0)
  expect(eventsOf(stdout)).toMatchObject([{ actor: { keyId }, http: { route: '/v1/patients/:id', status: 200 } }])
})

test('comes out in every format, without a line left over', async () => {
  const { stdout } = await audit('export --format ndjson')
  const events = eventsOf(stdout)
  const names = events.map(({ name }) => name)
  expect(names.filter((name) => name === 'request')).toHaveLength(4)
  expect(names.filter((name) => name === 'key.create')).toHaveLength(2)
  expect((await audit('export --format csv')).stdout.split('\r\n')).toHaveLength(events.length + 2)
  expect((await audit('export --format fhir')).code).toBe(0)
  expect(eventsOf((await audit('tail -n 1000 --json')).stdout).map(({ id }) => id)).toEqual(events.map(({ id }) => id))
})

test('is summed up', async () => {
  const { stdout } = await audit('summary --since 1d --json')
  expect(JSON.parse(stdout)).toMatchObject({
    keys: [
      { org: 'org_1', calls: { count: 1 }, patients: { count: 1 } },
      { org: 'org_1', calls: { count: 1 }, patients: { count: 1 } },
    ],
    withoutIdentity: { calls: { count: 2 }, denials: [{ reason: 'key_malformed', count: 2 }] },
    starts: { count: 2 },
    stops: { count: 2 },
    changes: [{ name: 'key.create', count: 2 }],
    unreadable: 0,
  })
})
