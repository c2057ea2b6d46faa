import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from '../../scripts/local-bin.mjs'
import { ConfigError, fromEnv, memoryKeyStore } from '../../src/index.ts'
import { parseOptions } from '../../src/options/parse-options.ts'

/** The tables of docs/configuration.md say what the parser does. */
const TEXT = readFileSync(join(ROOT, 'docs/configuration.md'), 'utf8')

interface Row {
  readonly option: string
  readonly fallback: string
  readonly values: string
}

const ROWS: readonly Row[] = [...TEXT.matchAll(/^\| `([\w.]+)` \| (.+?) \| (.+?) \|/gm)].map(
  ([, option = '', fallback = '', values = '']) => ({ option, fallback, values }),
)

const GROUPS: readonly (readonly [prefix: string, type: string])[] = [
  ['', 'AuthOptions'],
  ['keys.', 'KeysOptions'],
  ['tokens.', 'TokensOptions'],
  ['issuing.', 'IssuingOptions'],
  ['transport.', 'TransportOptions'],
  ['failures.', 'FailuresOptions'],
  ['audit.', 'AuditOptions'],
  ['service.', 'ServiceOptions'],
  ['telemetry.', 'TelemetryOptions'],
]

function membersOf(type: string): readonly string[] {
  const source = readFileSync(join(ROOT, 'src/options/auth-options.ts'), 'utf8')
  const body = new RegExp(`^export interface ${type} \\{\\n([\\s\\S]*?)^\\}`, 'm').exec(source)?.[1] ?? ''
  return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, name = '']) => name)
}

test('every option has a row, or a heading of its own, and no other has', () => {
  const headings = [...TEXT.matchAll(/^### (.+)$/gm)].flatMap(([, line = '']) => line.match(/\w+/g) ?? [])
  const expected = GROUPS.flatMap(([prefix, type]) => membersOf(type).map((name) => `${prefix}${name}`))
  expect(expected.length).toBeGreaterThan(40)
  expectSame([...headings, ...ROWS.map(({ option }) => option)], expected)
})

/** In any order, each once. */
function expectSame(names: readonly string[], expected: readonly string[]): void {
  expect(new Set(names)).toEqual(new Set(expected))
  expect(names.length).toBe(expected.length)
}

const KEY = { kty: 'RSA', n: 'x', e: 'AQAB' }
const SIGNING_KEY = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })

/** Options of a test server with this one in it, whatever its group needs beside it. */
function optionsWith(option: string, value: unknown): object {
  const [group = '', name = ''] = option.split('.')
  const options: Record<string, object> = {
    keys: { store: memoryKeyStore() },
    tokens: { issuer: 'https://issuer.example', audience: 'a', jwks: { keys: [KEY] } },
    issuing: { issuer: 'https://issuer.example', audience: 'a', signingKeys: [SIGNING_KEY] },
  }
  return { environment: 'test', ...options, [group]: name === '' ? value : { ...options[group], [name]: value } }
}

function optionAt(options: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, name) => Reflect.get(Object(value), name), options)
}

const bare = parseOptions({ environment: 'test', ...optionsWith('docsUrl', undefined) })

/** A default as the table writes it; undefined where it says no literal. */
function literal(text: string): unknown {
  const code = /^`(.*)`$/.exec(text)?.[1]
  if (/^[\d.]+$/.test(text)) return Number(text)
  if (code === undefined) return undefined
  if (!/^[[{]/.test(code)) return code
  return JSON.parse(code.replaceAll("'", '"').replace(/(\w+): /g, '"$1": '))
}

test.each(ROWS.filter(({ fallback }) => literal(fallback) !== undefined))(
  '$option: the default is $fallback',
  ({ option, fallback }) => {
    expect(optionAt(bare, option)).toEqual(literal(fallback))
  },
)

test.each(ROWS.filter(({ fallback }) => fallback === '—'))('$option: there is no default', ({ option }) => {
  expect(optionAt(bare, option)).toBeUndefined()
})

test.each(ROWS.filter(({ fallback }) => fallback === 'required'))('$option: is required', ({ option }) => {
  const code = 'CONFIG_MISSING'
  expect(() => parseOptions(optionsWith(option, undefined))).toThrow(expect.objectContaining({ code, option }))
})

test.each(ROWS.filter(({ fallback }) => fallback === 'required where live'))(
  '$option: is required where live',
  ({ option }) => {
    const audit = { directory: '/nowhere', pseudonymKeys: [{ id: 'k1', secret: Buffer.alloc(32).toString('base64') }] }
    const options = {
      ...optionsWith('docsUrl', undefined),
      environment: 'live',
      audit: { ...audit, [option.slice('audit.'.length)]: undefined },
    }
    expect(() => parseOptions(options)).toThrow(expect.objectContaining({ code: 'CONFIG_MISSING', option }))
  },
)

const RANGE = /^(over )?(\d+),? to (\d+)/
const RANGES = ROWS.filter(({ values }) => RANGE.test(values)).map(({ option, values }) => {
  const [, over, low = '', high = ''] = RANGE.exec(values) ?? []
  return { option, values, over: over !== undefined, low: Number(low), high: Number(high) }
})

test('numbers have a range', () => {
  const numbers = ROWS.filter(({ fallback }) => typeof literal(fallback) === 'number').map(({ option }) => option)
  expect(RANGES.map(({ option }) => option)).toEqual(numbers)
})

test.each(RANGES)('$option: takes $values', ({ option, over, low, high }) => {
  const takes = (value: number) => {
    try {
      return optionAt(parseOptions(optionsWith(option, value)), option) === value
    } catch (error) {
      if (error instanceof ConfigError && error.option === option) return false
      throw error
    }
  }
  expect([takes(low), takes(high)]).toEqual([!over, true])
  expect([takes(low - 1), takes(high + 1)]).toEqual([false, false])
})

const VARIABLES = new Set(
  readFileSync(join(ROOT, 'src/options/environment.ts'), 'utf8').match(/\bHEALTHCLOUD_[A-Z_]+[A-Z]\b/g),
)

test('every variable has a row, and no other has', () => {
  const named = [...TEXT.matchAll(/^\| `(HEALTHCLOUD_\w+)`/gm)].map(([, name = '']) => name)
  expectSame(
    named,
    [...VARIABLES].filter((name) => !name.endsWith('_FILE')),
  )
})

test.each(
  [...TEXT.matchAll(/^\| `(HEALTHCLOUD_\w+)`(, `…_FILE`)?/gm)].map(
    ([, name = '', file]) => [name, file !== undefined] as const,
  ),
)('%s is known; with _FILE: %s', (name, file) => {
  expect([isKnown(name), isKnown(`${name}_FILE`), isKnown(`${name}_`)]).toEqual([true, file, false])
})

function isKnown(name: string): boolean {
  try {
    fromEnv({ HEALTHCLOUD_ENVIRONMENT: 'test', [name]: 'test' })
    return true
  } catch (error) {
    return !(error instanceof ConfigError && error.code === 'CONFIG_UNKNOWN_OPTION')
  }
}
