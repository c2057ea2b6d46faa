import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROOT } from '../../scripts/local-bin.mjs'
import { hcAuth, words, type Env } from './hc-auth.ts'

let folder: string
let env: Env

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hc-cli-'))
  env = { HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_STORE_URL: `sqlite:${join(folder, 'keys.db')}` }
  await hcAuth(words(`${NEW} --scope exec:agents`), { env })
  writeFileSync(join(folder, 'text.db'), 'no database at all, but a text that is long enough'.repeat(20))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const NEW = 'keys create --org o --name n'
const ID = 'key_00000000000000000000'
const NINE =
  'read:patients, write:patients, read:observations, write:observations, exec:agents, exec:workflows, admin:org, admin:billing, publish:assets'
const OWN = '\nA scope of your own is declared with --allow-scope.'
const TIME = 'expected seconds, such as 3600, or 15m, 24h, 7d.'
const WHEN = 'expected a date (2027-01-01), an instant (2027-01-01T12:00:00Z), or a time from now (90d, 12h).'
const SECRET =
  'A secret must not be an argument: others on this machine can read it, and shells keep it. Treat it as leaked.\n' +
  'API keys are read from standard input or HEALTHCLOUD_API_KEY, the URL of the store from HEALTHCLOUD_KEY_STORE_URL.'

type Row = readonly [line: string, text: string]

const USAGE: readonly Row[] = [
  ['key list', 'Unknown command key. Did you mean keys?'],
  ['keys lst', 'Unknown command lst. Did you mean list?'],
  ['keys hunter2-Pa55word', 'Unknown command (not shown). See hc-auth --help.'],
  ['keys list', 'Required option --org <id> not specified. See hc-auth --help.'],
  ['keys list --org', 'Option --org <id> argument missing. See hc-auth --help.'],
  ['keys list --org o --scoop=s3cr3t', 'Unknown option --scoop. See hc-auth --help.'],
  ['keys list o', 'Required option'],
  ['keys rotate', 'Missing required argument id. See hc-auth --help.'],
  ['doctor now', 'Too many arguments'],
  [NEW, 'Required option --scope <scope> not specified. See hc-auth --help.'],
  [`${NEW} --scope ,`, '--scope: expected at least one scope, such as read:patients.'],
  [`${NEW} --scope read:patient`, `--scope: 'read:patient' is no known scope. Did you mean read:patients?${OWN}`],
  [
    `${NEW} --scope exec:agents,raed:observations`,
    "--scope: 'raed:observations' is no known scope. Did you mean read:observations?",
  ],
  [
    `${NEW} --scope reed:labs --allow-scope read:labs`,
    "--scope: 'reed:labs' is no known scope. Did you mean read:labs?",
  ],
  [`${NEW} --scope fly`, `--scope: 'fly' is no known scope. There are ${NINE}.${OWN}`],
  [`${NEW} --scope ${'x'.repeat(41)}`, '--scope: holds what is no known scope.'],
  [`${NEW} --scope exec:agents --allow-scope 'a b'`, '--allow-scope: expected a scope: 1 to 128 printable ASCII'],
  [`${NEW} --scope exec:agents --cidr 10.0.0.0/8,10.0.0.1/8`, '--cidr (number 2): rule'],
  [`${NEW} --scope exec:agents --expires soon`, `--expires: ${WHEN}`],
  [`${NEW} --scope exec:agents --expires 2027-02-30`, `--expires: ${WHEN}`],
  [`${NEW} --scope exec:agents --expires 2027-02-03T12:00:00`, `--expires: ${WHEN}`],
  [`${NEW} --scope exec:agents --expires 2020-01-01`, '--expires: expected a Date in the future.'],
  [`${NEW} --scope exec:agents --by 'a b'`, '--by: expected [A-Za-z0-9._@:+-]{1,128}.'],
  ["keys create --name n --scope exec:agents --org 'a b'", '--org: expected 1 to 128 printable ASCII characters.'],
  [`keys rotate ${ID} --grace 1w`, `--grace: ${TIME}`],
  [`keys rotate ${ID} --grace -1`, `--grace: ${TIME}`],
  ['keys rotate org_1', 'Expected the id of a key, such as key_…; `hc-auth keys list` shows it.'],
  ['keys due --days -1', '--days: expected a number of days, such as 90.'],
  ['keys due --days 4000', '--days: expected a number of days from 0 to 3650.'],
  ['keys list --org o --limit 0', '--limit: expected a whole number from 1 on.'],
  ['keys import --org o --name n --scope exec:agents hc_test_sk_AbC12xYz9kLmNpQr', SECRET],
  ['keys import --key=hc_live_sk_AbC12xYz9kLmNpQr', SECRET],
  ['hc_live_sk_AbC12xYz9kLmNpQr', SECRET],
  [`${NEW} --scope exec:agents --by HC_LIVE_SK_AbC12xYz9kLmNpQr`, SECRET],
  ['doctor postgres://u:s3cr3t@db/x', SECRET],
  ['doctor eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln', SECRET],
]

test.each(USAGE)('exit 2: hc-auth %s', async (line, text) => {
  const { code, stdout, stderr } = await hcAuth(words(line), { env })
  expect({ code, stdout, stderr: stderr.slice(0, text.length + 9) }).toEqual({
    code: 2,
    stdout: '',
    stderr: `hc-auth: ${text}`,
  })
  expect(stderr.split('\n').length).toBeLessThanOrEqual(3)
  expect(stderr).not.toMatch(/s3cr3t|hunter2|AbC12xYz9kLmNpQr|\bat .*:\d+:\d+|eyJ/i)
})

const FORMS = 'sqlite:<path>, postgres://<user>:<password>@<host>/<database> or redis://<host>.'
const ENCODE = 'Percent-encode what is special in its user name and password (%40 for @, %2F for /).'

const CONFIGURATION: readonly (readonly [what: string, env: () => Env, text: string])[] = [
  [
    'no environment',
    () => ({ HEALTHCLOUD_ENVIRONMENT: '' }),
    "HEALTHCLOUD_ENVIRONMENT: is not set. Set it to 'live' or 'test'.",
  ],
  [
    'a wrong environment',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'prod' }),
    "HEALTHCLOUD_ENVIRONMENT: is not valid. Set it to 'live' or 'test'.",
  ],
  ['no store', () => ({ HEALTHCLOUD_KEY_STORE_URL: '' }), `HEALTHCLOUD_KEY_STORE_URL: is not set. Set it to ${FORMS}`],
  [
    'a URL of something else',
    () => ({ HEALTHCLOUD_KEY_STORE_URL: 'mysql://u:s3cr3t@h/d' }),
    `HEALTHCLOUD_KEY_STORE_URL: is not the URL of a key store. Give ${FORMS}`,
  ],
  [
    'a slash in a password',
    () => ({ HEALTHCLOUD_KEY_STORE_URL: 'postgres://u:12/s3cr3t@h/d' }),
    `HEALTHCLOUD_KEY_STORE_URL: is no URL that can be read. ${ENCODE}`,
  ],
  [
    'a hash in a password',
    () => ({ HEALTHCLOUD_KEY_STORE_URL: 'redis://u:12#s3cr3t@h' }),
    `HEALTHCLOUD_KEY_STORE_URL: is no URL that can be read. ${ENCODE}`,
  ],
  [
    'no port',
    () => ({ HEALTHCLOUD_KEY_STORE_URL: 'redis://u:s3cr3t@h:x' }),
    `HEALTHCLOUD_KEY_STORE_URL: is no URL that can be read. ${ENCODE}`,
  ],
  [
    'no database number',
    () => ({ HEALTHCLOUD_KEY_STORE_URL: 'redis://:s3cr3t@127.0.0.1:1/x' }),
    'HEALTHCLOUD_KEY_STORE_URL: is no URL that the Redis client takes. Give redis://<host>:<port>/<database number>.',
  ],
  [
    'memory',
    () => ({ HEALTHCLOUD_KEY_STORE_URL: 'sqlite::memory:' }),
    'HEALTHCLOUD_KEY_STORE_URL: keeps nothing: it is gone when this command ends. Give sqlite:<path of a file>.',
  ],
  [
    'a file that is not there',
    () => ({ HEALTHCLOUD_KEY_STORE_URL: 'sqlite:nowhere.db' }),
    'There is no key store at the path of HEALTHCLOUD_KEY_STORE_URL.',
  ],
  [
    'a file that is no database',
    () => ({ HEALTHCLOUD_KEY_STORE_URL: `sqlite:${join(folder, 'text.db')}` }),
    'The key store (SQLite): sqliteKeyStore: the file is not a SQLite database.',
  ],
  ['a directory', () => ({ HEALTHCLOUD_KEY_STORE_URL: `sqlite:${folder}` }), 'sqliteKeyStore.path: names no file.'],
  [
    'both ways',
    () => ({ HEALTHCLOUD_KEY_STORE_URL_FILE: '/s3cr3t' }),
    'HEALTHCLOUD_KEY_STORE_URL: is set, and so is HEALTHCLOUD_KEY_STORE_URL_FILE.',
  ],
  [
    'a secret file that is not there',
    () => ({ HEALTHCLOUD_KEY_STORE_URL: '', HEALTHCLOUD_KEY_STORE_URL_FILE: '/s3cr3t' }),
    'HEALTHCLOUD_KEY_STORE_URL_FILE: names a file that cannot be read.',
  ],
  [
    'a misspelt variable',
    () => ({ HEALTHCLOUD_STORE: 's3cr3t' }),
    'HEALTHCLOUD_STORE: is not a variable of this version.',
  ],
  ['a short pepper', () => ({ HEALTHCLOUD_KEY_PEPPER: 'p1:s3cr3t' }), 'keys.pepper.0.secret: is not valid.'],
  [
    'a live environment without a journal',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'live' }),
    'audit.directory: is required.',
  ],
]

describe.each(['keys list --org o', 'keys due', 'keys revoke key_00000000000000000000 --reason x'])(
  'exit 3: %s',
  (line) => {
    test.each(CONFIGURATION)('%s', async (_, more, text) => {
      const { code, stdout, stderr } = await hcAuth(words(line), { env: { ...env, ...more() }, cwd: ROOT })
      expect({ code, stdout, stderr: stderr.slice(0, text.length + 9) }).toEqual({
        code: 3,
        stdout: '',
        stderr: `hc-auth: ${text}`,
      })
      expect(stderr.split('\n').length).toBeLessThanOrEqual(3)
      expect(stderr).not.toContain('s3cr3t')
    })
  },
)

describe('help', () => {
  test.each(['', 'keys'])('exit 2 for want of a command: hc-auth %s', async (line) => {
    const { code, stdout, stderr } = await hcAuth(words(line), { env: {} })
    expect({ code, stdout, help: stderr.startsWith('Usage: hc-auth') }).toEqual({ code: 2, stdout: '', help: true })
  })

  test.each([
    '--help',
    'help',
    'keys --help',
    'help keys',
    'doctor -h',
    'token --help',
    ...['exchange', 'keygen', 'revoke'].map((name) => `token ${name} --help`),
    ...['create', 'import', 'list', 'rotate', 'revoke', 'due'].map((name) => `keys ${name} --help`),
  ])('exit 0, on 80 columns and without colours: hc-auth %s', async (line) => {
    const { code, stdout, stderr } = await hcAuth(words(line), { env: { FORCE_COLOR: '1' } })
    expect({ code, stderr, help: stdout.startsWith('Usage: hc-auth') }).toEqual({ code: 0, stderr: '', help: true })
    expect(stdout.split('\n').filter((each) => each.length > 80)).toEqual([])
    expect(stdout).not.toContain('\u001b')
  })

  test('that of a group with a default command shows by an example what that takes', async () => {
    const { stdout } = await hcAuth(words('token --help'), { env: {} })
    expect(stdout).toMatch(/^Example: hc-auth token --scope read:patients --url https:\/\/.* < key\.txt$/m)
  })

  test('--version', async () => {
    expect((await hcAuth(['--version'], { env: {} })).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})
