import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from '../../scripts/local-bin.mjs'
import { fromEnv } from '../../src/index.ts'
import { startExchangeIssuer } from '../exchange-key/exchange-issuer.ts'
import { hcAuth, plain, words } from './hc-auth.ts'

/** Every command of the page is run, in order and on one store, and gives what the page shows. */
const TEXT = readFileSync(join(ROOT, 'docs/command-line.md'), 'utf8')
const FILES: Readonly<Record<string, string>> = { 'key.txt': 'hc_test_sk_AbC12xYz9kLmNpQr\n' }

interface Shown {
  readonly line: string
  readonly output: string
}

const COMMANDS: readonly Shown[] = [...TEXT.matchAll(/^```console\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) =>
  [...block.matchAll(/^\$ hc-auth (.*)\n((?:(?!\$ ).*\n)*)/gm)].map(([, line = '', output = '']) => ({ line, output })),
)

test('the page shows what happens', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'hc-docs-'))
  const issuer = await startExchangeIssuer()
  issuer.grant('hc_test_sk_AbC12xYz9kLmNpQr', ['read:patients', 'exec:agents'])
  const env = {
    HEALTHCLOUD_ENVIRONMENT: 'test',
    HEALTHCLOUD_KEY_STORE_URL: 'sqlite:keys.db',
    HEALTHCLOUD_TOKEN_URL: issuer.url.href,
  }
  const real = new Map<string, string>()
  const ofPage = new Map<string, string>()
  try {
    expect(COMMANDS.map(({ line }) => line.split(' ', 2).join(' '))).toEqual([
      'keys create',
      'keys create',
      'keys import',
      'keys list',
      'keys rotate',
      'keys revoke',
      'keys due',
      'token --scope',
      'token keygen',
      'token revoke',
      'doctor',
    ])
    for (const { line, output } of COMMANDS) {
      const [typed = '', target] = line.split(' > ')
      const [command = '', file] = typed.split(' < ')
      const argv = words(command).map((word) => idOf(word, ofPage, real))
      const setting = file === undefined ? { env, cwd: folder } : { env, cwd: folder, input: FILES[file] ?? '' }
      const ran = await hcAuth(argv, setting)
      if (target !== undefined) writeFileSync(join(folder, target), ran.stdout)
      const { code, stdout, stderr } = plain(target === undefined ? ran : { ...ran, stdout: '' }, real)
      const shown = plain({ code, stdout: output, stderr: '' }, ofPage).stdout
      const lines = [...(stderr + stdout).split('\n').slice(0, -1), ...(code === 0 ? [] : [`[exit ${code}]`])]
      expect(ordered(lines), line).toEqual(ordered(shown.split('\n').slice(0, -1)))
    }
    // What a page of its own does with that file.
    const keys = fromEnv({
      ...env,
      HEALTHCLOUD_ISSUER: 'https://issuer.example',
      HEALTHCLOUD_AUDIENCE: 'https://us.example',
      HEALTHCLOUD_SIGNING_KEY_FILE: join(folder, 'signing-key.json'),
    }).issuing?.signingKeys
    expect(keys).toHaveLength(1)
  } finally {
    await issuer.close()
    rmSync(folder, { recursive: true, force: true })
  }
})

/** The two outputs of a command have no order between them, nor have keys with random ids. */
function ordered(lines: readonly string[]): readonly string[] {
  return lines.map((line) => line.replaceAll(/ +/g, ' ')).toSorted()
}

/** The id that stands for the one of the page. */
function idOf(word: string, ofPage: ReadonlyMap<string, string>, real: ReadonlyMap<string, string>): string {
  const name = ofPage.get(word)
  return [...real].find(([, each]) => each === name)?.[0] ?? word
}
