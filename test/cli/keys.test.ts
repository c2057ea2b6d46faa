import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readJournal } from '../../src/audit/index.ts'
import { createAuth, memoryKeyStore } from '../../src/index.ts'
import type { AuditEvent, KeyRecord } from '../../src/index.ts'
import { sqliteKeyStore } from '../../src/stores/sqlite.ts'
import { recordOf } from '../keys/parts.ts'
import { hcAuth, idIn, plain, words, type Env, type Ran, type Setting } from './hc-auth.ts'

const DOCUMENTED = 'hc_test_sk_AbC12xYz9kLmNpQr'
const NEW = "keys create --org org_1 --name 'intake service' --scope read:patients"
const ONCE = 'This is the key, this once and never again; the store has its digest alone.\n'

let folder: string
let env: Env

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hc-cli-'))
  env = { HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_STORE_URL: 'sqlite:keys.db', HEALTHCLOUD_OPERATOR: 'anna' }
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

function hc(line: string, more: Partial<Setting> = {}): Promise<Ran> {
  return hcAuth(words(line), { env, cwd: folder, ...more })
}

/** What a server with this store says to the key. */
async function verdictOf(key: string): Promise<string> {
  const auth = createAuth({ environment: 'test', keys: { store: sqliteKeyStore(join(folder, 'keys.db')) } })
  const verdict = await auth.verify(key, { ip: '203.0.113.7', secure: null, operation: 'test' })
  await auth.close()
  return verdict.ok ? `${verdict.principal.organizationId} ${[...verdict.principal.scopes].join(' ')}` : verdict.reason
}

async function created(line = NEW): Promise<{ key: string; id: string }> {
  const ran = await hc(line)
  return { key: ran.stdout.trim(), id: idIn(ran) }
}

describe('keys create', () => {
  test('prints the key alone, once; all else is on standard error', async () => {
    expect(plain(await hc(NEW))).toEqual({
      code: 0,
      stdout: 'hc_1\n',
      stderr:
        'There was no key store at this path: a new one was made.\n' +
        `Created key_1: intake service of org_1 (hc_test_sk_…last).\n${ONCE}`,
    })
  })

  test('makes a key that a server takes', async () => {
    const { key } = await created()
    expect(await verdictOf(key)).toBe('org_1 read:patients')
  })

  test('--json: one document, without the digest, and nothing beside it', async () => {
    await created()
    const line = `${NEW},exec:agents --scope admin:org --cidr 203.0.113.0/24 --expires 2099-01-01 --by cron:1 --json`
    const { code, stdout, stderr } = await hc(line)
    const { key, record } = JSON.parse(stdout) as { key: string; record: Record<string, unknown> }
    expect({ code, stderr, lines: stdout.split('\n').length }).toEqual({ code: 0, stderr: '', lines: 2 })
    expect(key).toMatch(/^hc_test_sk_[0-9A-Za-z]{36}$/)
    expect(record).toEqual({
      id: expect.stringMatching(/^key_[0-9A-Za-z]{20}$/) as unknown,
      organizationId: 'org_1',
      environment: 'test',
      name: 'intake service',
      scopes: ['read:patients', 'exec:agents', 'admin:org'],
      hint: `hc_test_sk_…${key.slice(-4)}`,
      allowedCidrs: ['203.0.113.0/24'],
      createdAt: expect.stringMatching(/Z$/) as unknown,
      createdBy: 'cron:1',
      expiresAt: '2099-01-01T00:00:00.000Z',
      rotatedAt: null,
      validUntil: null,
      replacedBy: null,
      revokedAt: null,
      revokedReason: null,
      lastUsedAt: null,
      status: 'active',
    })
  })

  test('takes a scope of your own where it is declared', async () => {
    const line = 'keys create --org o --name n --scope read:labs'
    expect((await hc(line)).code).toBe(2)
    expect((await hc(`${line} --allow-scope read:labs`)).code).toBe(0)
    expect((await hc(`${line} --allow-scope read:labs,read:patients`)).code).toBe(0)
  })

  test.each(['EPIPE', 'ENOSPC'])('a key that could not be written (%s) is no success', async (brokenOutput) => {
    const { code, stderr } = plain(await hc(NEW, { brokenOutput }))
    expect(code).toBe(1)
    expect(stderr).toContain(
      'hc-auth: The key is made, but standard output could not be written: nobody has it.\n' +
        'Revoke it (hc-auth keys revoke key_1 --reason lost) and make another.\n',
    )
  })

  test('is not begun after Ctrl-C', async () => {
    const ran = await hc(NEW, { signal: AbortSignal.abort() })
    expect(ran).toEqual({ code: 130, stdout: '', stderr: 'hc-auth: Interrupted.\n' })
  })
})

describe('keys import', () => {
  const LINE = 'keys import --org org_1 --name moved --scope read:patients'
  const GOOD = { code: 0, stdout: 'key_1\n' }

  test.each([
    ['standard input', { input: `${DOCUMENTED}\n` }, {}],
    ['the environment', {}, { HEALTHCLOUD_API_KEY: DOCUMENTED }],
    ['the environment, with nothing piped in', { input: '' }, { HEALTHCLOUD_API_KEY: DOCUMENTED }],
    ['both, alike', { input: DOCUMENTED }, { HEALTHCLOUD_API_KEY: DOCUMENTED }],
  ])('takes a key from %s', async (_, setting, more) => {
    const ran = plain(await hc(LINE, { ...setting, env: { ...env, ...more } }))
    expect(ran).toMatchObject(GOOD)
    expect(ran.stderr).toContain('Imported moved of org_1 (hc_test_sk_…last).\n')
    expect(await verdictOf(DOCUMENTED)).toBe('org_1 read:patients')
  })

  test('takes a key once', async () => {
    await hc(LINE, { input: DOCUMENTED })
    expect(await hc(LINE, { input: DOCUMENTED })).toEqual({
      code: 1,
      stdout: '',
      stderr: 'hc-auth: The API key: the store has this key already.\n',
    })
  })

  test.each([
    ['nothing', {}, 'There is no API key to import.'],
    ['no key', { input: 'AbC12xYz9kLmNpQr' }, 'What was given is no well-formed API key'],
    ['two keys', { input: `${DOCUMENTED}\n${DOCUMENTED}` }, 'Standard input holds more than one API key.'],
    ['a whole file', { input: 'x'.repeat(5000) }, 'Standard input holds more than one API key.'],
  ])('refuses %s', async (_, setting, text) => {
    const { code, stdout, stderr } = await hc(LINE, setting)
    expect({ code, stdout, said: stderr.slice(0, text.length + 9) }).toEqual({
      code: 2,
      stdout: '',
      said: `hc-auth: ${text}`,
    })
  })

  test('refuses two sources that differ, and a key of the other environment', async () => {
    const other = { ...env, HEALTHCLOUD_API_KEY: 'hc_test_sk_0000000000000000' }
    expect(await hc(LINE, { input: DOCUMENTED, env: other })).toMatchObject({ code: 2 })
    expect(await hc(LINE, { input: DOCUMENTED.replace('test', 'live') })).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('This is a live key, and HEALTHCLOUD_ENVIRONMENT is test.') as unknown,
    })
  })
})

describe('keys rotate', () => {
  test('gives a new key, and says how long the old one works', async () => {
    const old = await created()
    const before = Date.now()
    const ran = await hc(`keys rotate ${old.id}`)
    expect(plain(ran, new Map([[old.id, 'key_old']]))).toEqual({
      code: 0,
      stdout: 'hc_1\n',
      stderr:
        'Rotated: key_old works until <instant>.\n' +
        `In its place: key_2: intake service of org_1 (hc_test_sk_…last).\n${ONCE}`,
    })
    const until = Date.parse(/\d{4}-\S+Z/.exec(ran.stderr)?.[0] ?? '')
    expect(until - before).toBeGreaterThanOrEqual(86_400_000)
    expect(until - Date.now()).toBeLessThanOrEqual(86_400_000)
    const verdicts = [await verdictOf(old.key), await verdictOf(ran.stdout.trim())]
    expect(verdicts).toEqual(['org_1 read:patients', 'org_1 read:patients'])
  })

  test('--grace 0 ends the old key at once; a second rotation names the key in its place', async () => {
    const old = await created()
    const { stderr } = await hc(`keys rotate ${old.id} --grace 0`)
    expect(stderr).toContain(`Rotated: ${old.id} has ended.\n`)
    expect(await verdictOf(old.key)).toBe('key_rotated_out')
    const fresh = /In its place: (key_\w+)/.exec(stderr)?.[1] ?? ''
    expect(await hc(`keys rotate ${old.id}`)).toEqual({
      code: 1,
      stdout: '',
      stderr: `hc-auth: ${old.id} was rotated before. Rotate the key in its place: ${fresh}.\n`,
    })
  })

  test('--grace takes a unit; the end is in --json of list', async () => {
    const { id } = await created()
    const { record } = JSON.parse((await hc(`keys rotate ${id} --grace 7d --json`)).stdout) as {
      record: { createdAt: string }
    }
    const { keys } = JSON.parse((await hc('keys list --org org_1 --json')).stdout) as {
      keys: { id: string; validUntil: string; status: string }[]
    }
    const old = keys.find((each) => each.id === id)
    expect(old?.status).toBe('grace')
    expect(Date.parse(old?.validUntil ?? '') - Date.parse(record.createdAt)).toBe(7 * 86_400_000)
  })
})

describe('keys revoke', () => {
  test('ends a key at once, and once', async () => {
    const { id, key } = await created()
    const names = new Map([[id, 'key_1']])
    expect(plain(await hc(`keys revoke ${id} --reason leaked`), names)).toEqual({
      code: 0,
      stdout: '',
      stderr: 'Revoked key_1: intake service of org_1 (hc_test_sk_…last). Tokens that name it end with it.\n',
    })
    expect(await verdictOf(key)).toBe('key_revoked')
    expect(plain(await hc(`keys revoke ${id} --reason again`), names).stderr).toBe(
      'key_1 was revoked before, on <instant>. Nothing is changed.\n',
    )
    expect(JSON.parse((await hc(`keys revoke ${id} --reason x --json`)).stdout)).toMatchObject({
      record: { status: 'revoked', revokedReason: 'leaked' },
    })
  })

  test.each(['rotate', 'revoke --reason x'])('a key that is not there: %s', async (command) => {
    await created()
    expect(await hc(`keys ${command} key_00000000000000000000`)).toEqual({
      code: 1,
      stdout: '',
      stderr: 'hc-auth: The key key_00000000000000000000 cannot be changed like this: the store has no such key.\n',
    })
  })
})

describe('keys list', () => {
  const AT = new Date(Date.UTC(2026, 0, 2))

  async function fill(records: readonly Partial<KeyRecord>[]): Promise<void> {
    const store = sqliteKeyStore(join(folder, 'keys.db'))
    for (const [index, each] of records.entries()) {
      await store.insert(recordOf('hc_live_sk_x', { id: idOf(index), digest: digestOf(index), createdAt: AT, ...each }))
    }
    await store.close?.()
  }
  const idOf = (index: number) => `key_${String(index).padStart(20, '0')}`
  const digestOf = (index: number) => `sha256:${String(index).padStart(43, '0')}`

  test('shows each key on a line of at most 80 columns', async () => {
    const grace = new Date(Date.now() + 3_600_000)
    await fill([
      { name: 'plain', lastUsedAt: AT, scopes: ['read:patients'] },
      { name: 'a name that is longer than its column could ever be, and so is cut', validUntil: grace, rotatedAt: AT },
      { name: '名前がとても長いので切られてしまう鍵の名前です。さらに長い', revokedAt: AT, revokedReason: 'x' },
      { name: 'evil \u001b[31m\u202e', expiresAt: AT },
      { name: 'over', validUntil: AT, rotatedAt: AT, scopes: [] },
    ])
    const { code, stdout, stderr } = plain(await hc('keys list --org org_1'))
    const until = grace.toISOString().slice(5, 16).replace('T', ' ')
    const raw = (await hc('keys list --org org_1')).stdout
    expect({ code, stderr }).toEqual({ code: 0, stderr: '5 keys of org_1.\n' })
    expect(raw.split('\n').map((line) => line.replace(until, 'MM-DD HH:MM'))).toEqual([
      'ID                        NAME       ENV   STATUS             SCOPES  LAST USED',
      'key_00000000000000000000  plain      live  active             1       2026-01-02',
      'key_00000000000000000001  a name t…  live  grace MM-DD HH:MM  1       never',
      'key_00000000000000000002  名前がと…  live  revoked            1       never',
      'key_00000000000000000003  evil ?[3…  live  expired            1       never',
      'key_00000000000000000004  over       live  rotated out        0       never',
      '',
    ])
    expect(stdout).not.toContain('\u001b')
  })

  test('reads all pages, or as many as asked for', async () => {
    await fill(Array.from({ length: 1003 }, (_, index) => ({ name: `key ${index}` })))
    const all = JSON.parse((await hc('keys list --org org_1 --json')).stdout) as { keys: unknown[]; next: unknown }
    expect([all.keys.length, all.next]).toEqual([1003, null])
    const two = await hc('keys list --org org_1 --limit 2')
    expect(two.stderr).toBe(`2 keys of org_1. There are more: --after ${idOf(1)}\n`)
    expect(
      two.stdout
        .split('\n')
        .slice(1, 3)
        .map((line) => line.slice(0, 24)),
    ).toEqual([idOf(0), idOf(1)])
    const last = await hc(`keys list --org org_1 --limit 2 --after ${idOf(1000)}`)
    expect(last.stderr).toBe('2 keys of org_1.\n')
  })

  test('nothing is nothing', async () => {
    await created()
    expect(await hc('keys list --org other')).toEqual({ code: 0, stdout: '', stderr: '0 keys of other.\n' })
  })

  test('a reader that leaves is no error', async () => {
    await created()
    expect((await hc('keys list --org org_1', { brokenOutput: 'EPIPE' })).code).toBe(0)
    expect(await hc('keys list --org org_1', { brokenOutput: 'ENOSPC' })).toEqual({
      code: 1,
      stdout: '',
      stderr: 'hc-auth: Standard output cannot be written (ENOSPC).\n',
    })
  })

  test('keys due: the oldest first', async () => {
    const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000 - 1000)
    await fill([
      { name: 'young', createdAt: daysAgo(10) },
      { name: 'old', createdAt: daysAgo(100) },
      { name: 'older', createdAt: daysAgo(400), organizationId: 'org_2' },
      { name: 'gone', createdAt: daysAgo(400), revokedAt: AT, revokedReason: 'x' },
    ])
    expect(await hc('keys due')).toEqual({
      code: 0,
      stdout:
        'ID                        ORG    NAME   DAYS  LAST USED\n' +
        `${idOf(2)}  org_2  older  400   never\n` +
        `${idOf(1)}  org_1  old    100   never\n`,
      stderr: '2 keys are active and older than 90 days. Rotate with `hc-auth keys rotate <id>`.\n',
    })
    expect((await hc('keys due --org org_1 --days 200')).stderr).toBe('0 keys are active and older than 200 days.\n')
    expect(JSON.parse((await hc('keys due --days 5 --org org_1 --json')).stdout)).toMatchObject({
      afterDays: 5,
      keys: [{ name: 'old' }, { name: 'young' }],
    })
  })
})

describe('on a live environment', () => {
  const live = () => ({
    ...env,
    HEALTHCLOUD_ENVIRONMENT: 'live',
    HEALTHCLOUD_AUDIT_DIR: join(folder, 'audit'),
    HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: `k1:${Buffer.alloc(32, 7).toString('base64')}`,
  })

  async function journal(): Promise<AuditEvent[]> {
    const events: AuditEvent[] = []
    for await (const event of readJournal(join(folder, 'audit'))) events.push(event)
    return events
  }

  test('each change is an event of the journal, beside those of a running server', async () => {
    const server = createAuth({
      environment: 'live',
      keys: { store: memoryKeyStore() },
      audit: {
        directory: join(folder, 'audit'),
        pseudonymKeys: [{ id: 'k1', secret: Buffer.alloc(32, 7).toString('base64') }],
      },
    })
    await server.ready()
    const key = DOCUMENTED.replace('test', 'live')
    const id = idIn(await hc(NEW, { env: live() }))
    await hc('keys import --org org_1 --name i --scope read:patients', { env: live(), input: key })
    await hc(`keys rotate ${id}`, { env: live() })
    await hc(`keys revoke ${id} --reason x --by boris`, { env: live() })
    await hc('keys list --org org_1', { env: live() })
    await server.close()

    const events = await journal()
    const changes = events.filter(({ kind }) => kind === 'admin').toSorted((a, b) => a.time.localeCompare(b.time))
    expect(changes.map(({ name, actor, service }) => [name, actor.by, service.name])).toEqual([
      ['key.create', 'anna', 'hc-auth'],
      ['key.import', 'anna', 'hc-auth'],
      ['key.rotate', 'anna', 'hc-auth'],
      ['key.revoke', 'boris', 'hc-auth'],
    ])
    expect(changes.filter(({ target }) => target?.keyId === id).map(({ target }) => target?.org)).toHaveLength(3)
    expect(readdirSync(join(folder, 'audit'))).toHaveLength(5)
  })

  test('without a journal nothing is done', async () => {
    const { HEALTHCLOUD_AUDIT_DIR: _directory, ...rest } = live()
    expect(await hc(NEW, { env: rest })).toEqual({
      code: 3,
      stdout: '',
      stderr:
        'hc-auth: audit.directory: is required. A live server keeps an audit journal: name a directory on a local, persistent volume.\n' +
        'It is read from HEALTHCLOUD_AUDIT_DIR.\n',
    })
    expect(await hc(NEW, { env: { ...live(), HEALTHCLOUD_AUDIT_DIR: '/dev/null/audit' } })).toEqual({
      code: 3,
      stdout: '',
      stderr:
        'hc-auth: The audit journal cannot be written (ENOTDIR), and a change that cannot be audited is not made.\n' +
        'Check that HEALTHCLOUD_AUDIT_DIR is on a local volume with space, and that this user may write there.\n',
    })
    expect(readdirSync(folder)).toEqual([])
  })

  test('its keys cannot be changed past the journal', async () => {
    const id = idIn(await hc(NEW, { env: live() }))
    const refused = {
      code: 3,
      stdout: '',
      stderr:
        'hc-auth: This is a live key, and HEALTHCLOUD_ENVIRONMENT is test.\n' +
        'Run this with the configuration of the live servers, so that the change is audited where it belongs.\n',
    }
    expect(await hc(`keys rotate ${id}`)).toEqual(refused)
    expect(await hc(`keys revoke ${id} --reason x`)).toEqual(refused)
  })
})
