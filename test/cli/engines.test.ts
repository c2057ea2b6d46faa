import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@redis/client'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROOT } from '../../scripts/local-bin.mjs'
import { hasRedisServer, startRedis, type RedisEngine } from '../stores/redis-engine.ts'
import { isReachable, POSTGRES_URL } from '../stores/postgres-world.ts'
import { hcAuth, idIn, words } from './hc-auth.ts'

const NEW = 'keys create --org org_1 --name n --scope exec:agents'
const PASSWORD = 's3cr3t-Pa55'

function hc(line: string, url: string, cwd: string = ROOT) {
  return hcAuth(words(line), { env: { HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_STORE_URL: url }, cwd })
}

async function wholeLife(url: string): Promise<readonly unknown[]> {
  const made = await hc(NEW, url)
  const id = idIn(made)
  const rotated = await hc(`keys rotate ${id}`, url)
  const revoked = await hc(`keys revoke ${id} --reason x`, url)
  const { stdout } = await hc('keys list --org org_1 --json', url)
  const { keys } = JSON.parse(stdout) as { keys: { id: string; status: string }[] }
  const due = await hc('keys due --days 0', url)
  const token = await hc('token revoke --jti tok_1 --expires 1h', url)
  const doctor = await hc('doctor', url)
  const codes = [made, rotated, revoked, due, token, doctor].map(({ code }) => code)
  return [codes, keys.find((each) => each.id === id)?.status, keys.length]
}

describe.skipIf(!(await isReachable(POSTGRES_URL)))('PostgreSQL', () => {
  const schema = `cli_${randomBytes(5).toString('hex')}`
  const url = new URL(POSTGRES_URL)
  let admin: Client

  beforeAll(async () => {
    admin = new Client({ connectionString: POSTGRES_URL })
    await admin.connect()
    await admin.query(`CREATE SCHEMA ${schema}`)
    url.searchParams.set('options', `-csearch_path=${schema}`)
  })
  afterAll(async () => {
    await admin.query(`DROP SCHEMA ${schema} CASCADE`)
    await admin.end()
  })

  test('the whole life of a key, and no connection is left', async () => {
    expect(await wholeLife(url.href)).toEqual([[0, 0, 0, 0, 0, 0], 'revoked', 2])
    const { rows } = await admin.query(
      "SELECT 1 FROM pg_stat_activity WHERE application_name = 'hc-auth' AND query LIKE '%' || $1 || '%'",
      [schema],
    )
    expect(rows).toEqual([])
  })

  test('a database that is not there is a matter of configuration', async () => {
    const other = new URL(POSTGRES_URL)
    other.pathname = '/no-such-database'
    const { code, stderr } = await hc('keys list --org o', other.href)
    expect({ code, stderr }).toEqual({
      code: 3,
      stderr:
        `hc-auth: The key store (PostgreSQL at ${other.host}): The PostgreSQL key store could not make its tables: database "no-such-database" does not exist.\n` +
        'Create that database, or correct HEALTHCLOUD_KEY_STORE_URL.\n',
    })
  })

  test('tables of a newer version are not touched', async () => {
    await hc('keys list --org o', url.href)
    await admin.query(`UPDATE ${schema}.healthcloud_keys_version SET version = 99`)
    const { code, stderr } = await hc(NEW, url.href)
    await admin.query(`UPDATE ${schema}.healthcloud_keys_version SET version = 1`)
    expect(code).toBe(1)
    expect(stderr).toContain('is of version 99, made by a newer release of this package')
  })
})

describe.skipIf(!hasRedisServer() && process.env['CI'] === undefined)('Redis', () => {
  let engine: RedisEngine
  beforeAll(async () => {
    engine = await startRedis()
    const client = createClient({ url: engine.url })
    await client.connect()
    await client.configSet('requirepass', PASSWORD)
    client.destroy()
  })
  afterAll(async () => engine.stop())
  const url = (password = PASSWORD) => `redis://:${password}@127.0.0.1:${engine.port}/5`

  test('the whole life of a key', async () => {
    expect(await wholeLife(url())).toEqual([[0, 0, 0, 0, 0, 0], 'revoked', 2])
  })

  test('a wrong password is a matter of configuration', async () => {
    const { code, stderr } = await hc('keys list --org o', url('wr0ng'))
    expect(code).toBe(3)
    expect(stderr).toContain('Correct user name and password in HEALTHCLOUD_KEY_STORE_URL.\n')
    expect(stderr).not.toContain('wr0ng')
  })

  test('one that hangs is unreachable after five seconds', { timeout: 20_000 }, async () => {
    engine.hang()
    const began = performance.now()
    const ran = await hc('keys list --org o', url()).finally(() => engine.resume())
    expect(performance.now() - began).toBeLessThan(8000)
    expect(ran).toEqual({
      code: 4,
      stdout: '',
      stderr:
        `hc-auth: The key store (Redis at 127.0.0.1:${engine.port}): did not answer within 5 seconds.\n` +
        'Check that it runs, and the host and port of HEALTHCLOUD_KEY_STORE_URL.\n',
    })
  })
})

describe('a store that is not there', () => {
  let silent: Server
  let closedPort: number
  const sockets = new Set<Socket>()

  beforeAll(async () => {
    const closed = createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    closedPort = (closed.address() as AddressInfo).port
    closed.close()
    silent = createServer((socket) => void sockets.add(socket)).listen(0, '127.0.0.1')
    await once(silent, 'listening')
  })
  afterAll(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  test.each(['postgres', 'redis'])('%s: nothing listens', async (scheme) => {
    const { code, stdout, stderr } = await hc(NEW, `${scheme}://u:${PASSWORD}@127.0.0.1:${closedPort}/1`)
    expect([code, stdout]).toEqual([4, ''])
    expect(stderr).toContain(`ECONNREFUSED 127.0.0.1:${closedPort}.\nCheck that it runs, and the host and port of`)
    expect(stderr).not.toContain(PASSWORD)
  })

  test.concurrent.each(['postgres', 'redis'])('%s: somebody listens and never answers', async (scheme) => {
    const { port } = silent.address() as AddressInfo
    const began = performance.now()
    const url = `${scheme}://u:${PASSWORD}@127.0.0.1:${port}/1`
    const [list, doctor] = await Promise.all([hc('keys list --org o', url), hc('doctor --json', url)])
    expect(performance.now() - began).toBeLessThan(8000)
    expect([list.code, list.stdout, doctor.code]).toEqual([4, '', 4])
    expect(list.stderr + doctor.stdout + doctor.stderr).not.toContain(PASSWORD)
  })

  test('Ctrl-C ends the wait', async () => {
    const { port } = silent.address() as AddressInfo
    const controller = new AbortController()
    setTimeout(() => controller.abort(), 200)
    const env = { HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_STORE_URL: `redis://127.0.0.1:${port}` }
    const began = performance.now()
    const ran = await hcAuth(words('keys due'), { env, cwd: ROOT, signal: controller.signal })
    expect(ran).toEqual({ code: 130, stdout: '', stderr: 'hc-auth: Interrupted.\n' })
    expect(performance.now() - began).toBeLessThan(3000)
  })
})

describe('the driver of the caller', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hc-cli-'))
    mkdirSync(join(folder, 'broken/node_modules/pg'), { recursive: true })
    writeFileSync(join(folder, 'broken/node_modules/pg/index.js'), "throw new Error('s3cr3t')")
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test.each([
    ['postgres', 'pg'],
    ['redis', '@redis/client'],
  ])('%s: %s is not installed', async (scheme, name) => {
    expect(await hc(NEW, `${scheme}://u:${PASSWORD}@127.0.0.1:1/1`, folder)).toEqual({
      code: 3,
      stdout: '',
      stderr:
        `hc-auth: HEALTHCLOUD_KEY_STORE_URL: names a ${scheme} store, and the package ${name} is not installed here. ` +
        `Run this in your project, or there: npm install ${name}\n`,
    })
  })

  test('one that does not load is not called missing', async () => {
    const { code, stderr } = await hc(NEW, 'postgres://127.0.0.1:1/1', join(folder, 'broken'))
    expect(code).toBe(3)
    expect(stderr).toContain('the package pg cannot be loaded here.')
    expect(stderr).not.toContain('s3cr3t')
  })
})
