import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  eventOf,
  makeJournal,
  sealWriter,
  systemEvent,
  type KeyPair,
  type TestJournal,
  type TestWriter,
} from './journal.ts'
import { hcAuth, words, type Env } from '../hc-auth.ts'

let journal: TestJournal
let own: KeyPair
let other: KeyPair

beforeAll(() => {
  own = generateKeyPairSync('ed25519')
  other = generateKeyPairSync('ed25519')
})

beforeEach(() => {
  journal = makeJournal()
})

afterEach(() => journal.remove())

const verify = (line = '', env: Env = { HEALTHCLOUD_AUDIT_DIR: journal.directory }) =>
  hcAuth(words(`audit verify ${line}`), { env, cwd: journal.directory })

const T = '2026-11-24T01:00:00.000Z'

const checkpoint = (writer: TestWriter, keys: KeyPair = own) => sealWriter(writer, keys, T)

function serverWith(name: string, calls: number): TestWriter {
  const writer = journal.writer(name)
  writer.write(systemEvent('audit.started', T))
  for (let call = 0; call < calls; call += 1) {
    writer.intent(T)
    writer.write(eventOf({ time: T }))
  }
  return writer
}

function alter(file: string, change: (lines: string[]) => readonly string[]): void {
  writeFileSync(file, change(readFileSync(file, 'utf8').split('\n')).join('\n'))
}

function publicKeyFile(key: KeyObject, name = 'key.pem', format: 'pem' | 'jwk' = 'pem'): string {
  const text = format === 'pem' ? key.export({ type: 'spki', format }) : JSON.stringify(key.export({ format }))
  writeFileSync(join(journal.directory, name), text)
  return name
}

const WITHOUT_KEYS = 'Signatures were not checked: give --public-key.\n'
const WITHOUT_SINKS = 'Whole writers may be missing: give --checkpoints, as a sink received them, to find out.\n'

describe('an intact journal', () => {
  test('of two servers, checked with the key', async () => {
    for (const name of ['a', 'b']) checkpoint(serverWith(name, 3))
    expect(await verify(`--public-key ${publicKeyFile(own.publicKey)}`)).toEqual({
      code: 0,
      stdout: 'Intact: 10 events.\n',
      stderr: WITHOUT_SINKS,
    })
  })

  test('without checkpoints says what that means, and that a line that is cut off is no failure', async () => {
    serverWith('a', 2).raw('{"v":1,"id":"torn')
    expect(await verify()).toEqual({
      code: 0,
      stdout: `Intact: 3 events.
5 lines after the last checkpoint: no signature says yet that none of them
was cut off or rewritten as a whole.
A last line is cut off in the middle, as by a crash: that is no failure.
`,
      stderr: WITHOUT_KEYS + WITHOUT_SINKS,
    })
  })

  test('that is empty is intact, and says so', async () => {
    expect(await verify()).toEqual({
      code: 0,
      stdout: 'Intact: 0 events.\n',
      stderr: `There is no event in this journal.\n${WITHOUT_KEYS}${WITHOUT_SINKS}`,
    })
  })

  test('as JSON', async () => {
    serverWith('a', 1)
    const { code, stdout, stderr } = await verify('--json')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toEqual({ ok: true, events: 2, unanchored: 3, tornTail: false, findings: [] })
  })
})

describe('an altered journal', () => {
  test('shows the line and what was done to it', async () => {
    serverWith('a', 1)
    alter(serverWith('b', 3).file, (lines) =>
      lines.map((line, index) => (index === 4 ? line.replace('203.0.113.7', '203.0.113.8') : line)),
    )
    const { code, stdout } = await verify()
    expect([code, stdout.split('\n').slice(0, 2)]).toEqual([
      1,
      ['b/00000001.jsonl:5  altered', 'Not intact: 1 finding in 6 events.'],
    ])
    const { stdout: json } = await verify('--json')
    expect(JSON.parse(json)).toMatchObject({
      ok: false,
      findings: [{ writer: 'b', segment: 1, line: 5, kind: 'altered' }],
    })
  })

  test('of which a line is missing', async () => {
    alter(serverWith('a', 3).file, (lines) => lines.toSpliced(2, 1))
    const { code, stdout } = await verify()
    expect([code, stdout.split('\n')[0]]).toEqual([1, 'a/00000001.jsonl:3  deleted'])
  })

  test('that somebody without the key has signed', async () => {
    checkpoint(serverWith('a', 1), other)
    const { code, stdout } = await verify(`--public-key ${publicKeyFile(own.publicKey)}`)
    expect([code, stdout.split('\n')[0]]).toEqual([1, 'a/00000001.jsonl:4  signature'])
    expect(
      await verify(`--public-key key.pem --public-key ${publicKeyFile(other.publicKey, 'old.pem')}`),
    ).toMatchObject({
      code: 0,
    })
  })

  test('of which a whole server is gone shows by what a sink has kept', async () => {
    const kept = [checkpoint(serverWith('a', 1)), checkpoint(serverWith('b', 1))]
    const logged = JSON.stringify({
      level: 30,
      msg: 'healthcloud.audit.system',
      audit: JSON.parse(kept[1] ?? '') as unknown,
    })
    const others = JSON.stringify({ ...eventOf(), requestId: 'audit.checkpoint' })
    writeFileSync(join(journal.directory, 'kept.ndjson'), [kept[0], others, '{"level":30}', logged, ''].join('\n'))
    const line = `--public-key ${publicKeyFile(own.publicKey)} --checkpoints kept.ndjson`
    expect(await verify(line)).toEqual({ code: 0, stdout: 'Intact: 6 events.\n', stderr: '' })
    rmSync(join(journal.directory, 'b'), { recursive: true })
    const { code, stdout } = await verify(line)
    expect(code).toBe(1)
    expect(stdout).toMatch(/^b\/0000000\d\.jsonl:\d+ {2}\S+\nNot intact: 1 finding/)
  })
})

describe('mistakes', () => {
  test.each([
    ['PEM', () => publicKeyFile(own.publicKey)],
    ['JWK', () => publicKeyFile(own.publicKey, 'key.json', 'jwk')],
    [
      'a key set',
      () => {
        const keys = [own.publicKey, other.publicKey].map((key) => key.export({ format: 'jwk' }))
        writeFileSync(join(journal.directory, 'set.json'), JSON.stringify({ keys }))
        return 'set.json'
      },
    ],
    [
      'two PEM in one file',
      () => {
        const pems = [other.publicKey, own.publicKey].map((key) => key.export({ type: 'spki', format: 'pem' }))
        writeFileSync(join(journal.directory, 'two.pem'), pems.join('\n'))
        return 'two.pem'
      },
    ],
  ])('none: the key as %s', async (_, file) => {
    checkpoint(serverWith('a', 1))
    expect((await verify(`--public-key ${file()}`)).stdout).toBe('Intact: 3 events.\n')
  })

  const rsa = () =>
    generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' })
  const privatePem = () => own.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const EXPECTED = '--public-key: expected public keys of Ed25519, as PEM or JWK.'
  const PRIVATE =
    '--public-key: holds a private key. Keep it away from here, and give the public one (openssl pkey -pubout).'

  test.each([
    ['no key at all', () => 'hello', EXPECTED],
    ['nothing', () => '', EXPECTED],
    ['broken JSON', () => '{"kty":', EXPECTED],
    ['an RSA key', rsa, EXPECTED],
    ['a damaged key', () => '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----', EXPECTED],
    ['a list of nothing', () => '[]', EXPECTED],
    ['the private key', privatePem, PRIVATE],
    ['the private key as JWK', () => JSON.stringify(own.privateKey.export({ format: 'jwk' })), PRIVATE],
  ])('exit 2 where the file of the key holds %s', async (_, text, problem) => {
    serverWith('a', 1)
    writeFileSync(join(journal.directory, 'key'), text())
    const { code, stdout, stderr } = await verify('--public-key key')
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: `hc-auth: ${problem}\n` })
  })

  test('exit 2 where a file is not there', async () => {
    publicKeyFile(own.publicKey)
    for (const [line, option] of [
      ['--public-key nowhere', '--public-key'],
      ['--public-key key.pem --public-key nowhere', '--public-key (number 2)'],
      ['--checkpoints nowhere', '--checkpoints'],
    ]) {
      expect(await verify(line)).toEqual({
        code: 2,
        stdout: '',
        stderr: `hc-auth: ${option}: cannot be read (ENOENT).\n`,
      })
    }
  })

  test('exit 2 where the checkpoints are none', async () => {
    serverWith('a', 1)
    const file = join(journal.directory, 'kept')
    writeFileSync(file, `${JSON.stringify(eventOf())}\n`)
    expect(await verify('--checkpoints kept')).toMatchObject({
      code: 2,
      stderr: 'hc-auth: --checkpoints: holds no audit.checkpoint event.\n',
    })
    for (const text of ['{"name":"audit.checkpoint"}', 'audit.checkpoint']) {
      writeFileSync(file, `${JSON.stringify(eventOf())}\n${text}\n`)
      expect(await verify('--checkpoints kept')).toEqual({
        code: 2,
        stdout: '',
        stderr: 'hc-auth: --checkpoints: line 2 is no audit.checkpoint event as a sink received it.\n',
      })
    }
  })

  test('exit 3 without a directory, 4 where it is not there', async () => {
    expect((await verify('', {})).code).toBe(3)
    expect(await verify('--directory nowhere')).toEqual({
      code: 4,
      stdout: '',
      stderr:
        'hc-auth: The audit journal cannot be read (ENOENT).\n' +
        'Check the directory (--directory, HEALTHCLOUD_AUDIT_DIR), and that this user may read it.\n',
    })
  })

  test('Ctrl-C ends it, and so does whoever stops reading', async () => {
    serverWith('a', 1)
    const env = { HEALTHCLOUD_AUDIT_DIR: journal.directory }
    expect((await hcAuth(words('audit verify'), { env, signal: AbortSignal.abort() })).code).toBe(130)
    expect((await hcAuth(words('audit verify'), { env, brokenOutput: 'EPIPE' })).code).toBe(0)
  })
})
