import { Readable, Writable } from 'node:stream'
import { run, type Surroundings } from '../../src/cli/run.ts'

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export type Env = Record<string, string | undefined>

export interface Setting {
  readonly env: Env
  readonly cwd?: string
  /** What is piped in; left out: nobody pipes, as at a terminal. */
  readonly input?: string
  readonly signal?: AbortSignal
  /** Standard output fails with this code. */
  readonly brokenOutput?: string
}

/** Runs the command line in this process, as a shell would see it. */
export async function hcAuth(
  argv: readonly string[],
  { env, cwd = import.meta.dirname, input, signal, brokenOutput }: Setting,
): Promise<Ran> {
  const out = sink(brokenOutput)
  const err = sink()
  const stdin = Object.assign(Readable.from(input === undefined ? [] : [input]), { isTTY: input === undefined })
  const surroundings: Surroundings = { env, cwd, stdin, stdout: out.stream, stderr: err.stream, signal }
  const code = await run(argv, surroundings)
  return { code, stdout: out.text(), stderr: err.text() }
}

function sink(code?: string) {
  const chunks: string[] = []
  const stream = new Writable({
    decodeStrings: false,
    write: (chunk: unknown, _encoding, done) => {
      if (code !== undefined) return done(Object.assign(new Error('no'), { code }))
      chunks.push(String(chunk))
      return done()
    },
  })
  return { stream, text: () => chunks.join('') }
}

export function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '')
}

const ID = /key_[A-Za-z0-9]{20}/g
const KEY = /hc_(live|test)_sk_[A-Za-z0-9]{36}/g

/** The output without what differs from run to run: the first id is `key_1`, the first key `hc_…_1`. */
export function plain({ code, stdout, stderr }: Ran, names = new Map<string, string>()): Ran {
  const named = (text: string) =>
    text
      .replace(ID, (id) => nameIn(names, id, 'key_'))
      .replace(KEY, (key) => nameIn(names, key, 'hc_'))
      .replace(/(hc_(?:live|test)_sk_…)\w{4}/g, '$1last')
      .replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]+/g, '<token>')
      .replace(/\bkid [\w-]{43}/g, 'kid <thumbprint>')
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, '<instant>')
      .replace(/grace \d\d-\d\d \d\d:\d\d/g, 'grace <month-day>')
  return { code, stdout: named(stdout), stderr: named(stderr) }
}

function nameIn(names: Map<string, string>, text: string, prefix: string): string {
  const name = names.get(text) ?? `${prefix}${[...names.values()].filter((each) => each.startsWith(prefix)).length + 1}`
  names.set(text, name)
  return name
}

export function idIn({ stderr, stdout }: Ran): string {
  return /key_[A-Za-z0-9]{20}/.exec(stderr + stdout)?.[0] ?? 'no id'
}
