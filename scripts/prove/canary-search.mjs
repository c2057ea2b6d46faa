// The search of the tests, for reversed texts as well.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { localBin, ROOT } from '../local-bin.mjs'
import { PREFIX } from './canary-secrets.mjs'

/** `test/security/search.ts`: Node 20 runs no TypeScript. Types are not checked; the lint step does that. */
async function importSearch() {
  const out = join(ROOT, 'build', `prove-${process.pid}`)
  const file = join(ROOT, 'test', 'security', 'search.ts')
  const flags = ['--ignoreConfig', '--noCheck', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2023']
  const { status } = spawnSync(process.execPath, [localBin('typescript', 'tsc'), ...flags, '--outDir', out, file], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  if (status !== 0) throw new Error('test/security/search.ts does not compile.')
  try {
    return await import(pathToFileURL(join(out, 'search.js')).href)
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
}

const { searchFor, windowsOf } = await importSearch()
/** Of a key's secret part: whoever has so much of it has too much. */
const WINDOW = 8

export const reversed = (text) => [...text].toReversed().join('')

/** `secrets`: by name; of a key every eight characters count. Gives what a text holds of them. */
export function createSearch({ keys, texts, tokens, ...others }) {
  const canaries = [
    ...Object.entries(keys).map(([name, text]) => {
      const secret = text.slice(PREFIX.length)
      return { name: `key ${name}`, text: secret, parts: windowsOf(secret, WINDOW) }
    }),
    ...Object.entries(tokens).map(([name, text]) => ({ name: `token ${name}`, text, parts: text.split('.').slice(1) })),
    ...Object.entries({ ...texts, ...others }).map(([name, text]) => ({ name, text })),
  ]
  const backwards = canaries.map(({ name, text, parts = [] }) => ({
    name: `${name} reversed`,
    text: reversed(text),
    parts: parts.map(reversed),
  }))
  return Object.freeze({ search: searchFor([...canaries, ...backwards]), count: canaries.length })
}

/** Each form in which a text can stand somewhere, as a positive control. */
export function formsOf(text) {
  const bytes = Buffer.from(text)
  const behind = (count) => Buffer.concat([Buffer.alloc(count, 'x'), bytes, Buffer.from('xyz')])
  return {
    raw: text,
    hex: bytes.toString('hex'),
    'hex, upper case': bytes.toString('hex').toUpperCase(),
    'URL-encoded': encodeURIComponent(text),
    'URL-encoded throughout': [...bytes].map((byte) => `%${byte.toString(16)}`).join(''),
    ...Object.fromEntries([0, 1, 2].map((at) => [`base64 at offset ${at}`, behind(at).toString('base64')])),
    ...Object.fromEntries([0, 1, 2].map((at) => [`base64url at offset ${at}`, behind(at).toString('base64url')])),
    reversed: reversed(text),
    'reversed, base64': Buffer.from(reversed(text)).toString('base64'),
  }
}
