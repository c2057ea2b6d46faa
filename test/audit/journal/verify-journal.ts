import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { createJournalCheck, type JournalVerdict } from '../../../src/audit/journal/verify/journal-check.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'
import {
  createVouchers,
  type JournalKey,
  type KeptCheckpoint,
  type Vouchers,
} from '../../../src/audit/journal/verify/vouchers.ts'
import { readWrittenLine, type WrittenLine } from '../../../src/audit/journal/verify/written-line.ts'

/** A writer of journals that shares nothing with ours but the format: members, hashes and signatures are written out here. */
export interface HandWriter {
  readonly lines: string[]
  /** Lines that sinks have received as checkpoints. */
  readonly checkpoints: string[]
  intent(): string
  event(change?: object): string
  checkpoint(change?: object): string
  retention(retention: Retention, key?: KeyObject | null): string
  /** `audit.stopped`, and the checkpoint behind it. */
  stop(): void
}

export interface Retention {
  readonly writer: string
  readonly segments: readonly [number, number]
  readonly lastSeq: number
  readonly lastHash: string
}

export const KEYS = generateKeyPairSync('ed25519')
export const OTHER_KEYS = generateKeyPairSync('ed25519')

const TIME = '2026-11-24T03:05:11.123Z'
const ACTOR = { kind: 'api-key', org: 'org_1', keyId: 'key_1', sub: null, jti: null, graceEnds: null, by: null }
const NOBODY = { kind: 'none', org: null, keyId: null, sub: null, jti: null, graceEnds: null, by: null }
const SCOPES = { granted: ['read:patients'], required: ['read:patients'] }
const PHI = {
  interaction: 'read',
  types: ['Patient'],
  patients: ['pt_k1_0123456789abcdefghijkl'],
  patientCount: 1,
  resourceCount: 1,
  bulk: false,
  attribution: 'route',
}

/** Members in the order of the contract; what is `null` here and not there is filled in. */
const EVENT = {
  v: 1,
  id: null,
  kind: 'access',
  name: 'request',
  time: TIME,
  recorded: TIME,
  durationMs: 12.4,
  outcome: 'success',
  reason: null,
  action: 'R',
  actor: ACTOR,
  target: null,
  env: 'live',
  scopes: SCOPES,
  client: { ip: '203.0.113.7', via: 0 },
  http: { method: 'GET', route: '/v1/patients/:id', status: 200, query: ['_count'], bytes: 812 },
  requestId: null,
  operation: null,
  purpose: null,
  phi: PHI,
  delivered: 'full',
  count: 1,
  part: null,
  service: { name: 'records', version: null, instance: 'host:1' },
  writer: null,
  seq: null,
  prev: null,
}
const SYSTEM = {
  kind: 'system',
  durationMs: 0,
  action: 'E',
  actor: NOBODY,
  scopes: { granted: [], required: [] },
  client: { ip: null, via: 0 },
  http: null,
  requestId: null,
  phi: null,
  delivered: null,
}
const INTENT = {
  v: 1,
  intent: null,
  n: null,
  time: TIME,
  action: 'R',
  actor: ACTOR,
  env: 'live',
  scopes: SCOPES,
  client: { ip: '203.0.113.7', via: 0 },
  http: { method: 'GET', route: '/v1/patients/:id', query: ['_count'] },
  requestId: null,
  phi: PHI,
  writer: null,
  prev: null,
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

export function sealOf(
  text: string,
  { publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject },
): object {
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const keyId = `ed25519:${createHash('sha256').update(spki).digest('base64url').slice(0, 16)}`
  return { keyId, signature: sign(null, Buffer.from(text), privateKey).toString('base64url') }
}

/** `keys: null`: without a signing key. */
export function handWriter(writer: string, keys: typeof KEYS | null = KEYS): HandWriter {
  const lines: string[] = []
  const checkpoints: string[] = []
  let [seq, n, id]: [number, number, number] = [0, 0, 0]
  const prev = (): string | null => (lines.length === 0 ? null : sha256(lines.at(-1) ?? ''))
  const newId = (): string => `01936b2f-9a00-7000-8000-${String((id += 1)).padStart(12, '0')}`
  const add = (line: object): string => {
    const text = JSON.stringify(line)
    lines.push(text)
    return text
  }
  const event = (change: object = {}): string => {
    seq += 1
    return add({ ...EVENT, id: newId(), requestId: `req_é😀_${seq}`, writer, seq, prev: prev(), ...change })
  }
  const system = (name: string, change: object = {}): string => event({ ...SYSTEM, name, ...change })
  const checkpoint = (change: object = {}): string => {
    const text = `hc-audit-checkpoint/1\n${writer}\n${seq + 1}\n${TIME}\n${prev() ?? ''}\n`
    const line = system('audit.checkpoint', keys === null ? change : { checkpoint: sealOf(text, keys), ...change })
    checkpoints.push(line)
    return line
  }
  system('audit.started')
  return {
    lines,
    checkpoints,
    event,
    checkpoint,
    intent() {
      n += 1
      return add({ ...INTENT, intent: newId(), n, requestId: `req_${n}`, writer, prev: prev() })
    },
    retention(retention: Retention, key = keys?.privateKey ?? null) {
      const { segments, lastSeq, lastHash } = retention
      const text = `hc-audit-retention/1\n${retention.writer}\n${segments[0]}-${segments[1]}\n${lastSeq}\n${lastHash}\n`
      const signed = keys === null || key === null ? null : sealOf(text, { ...keys, privateKey: key })
      return system('audit.retention', { retention: { ...retention, signed } })
    },
    stop() {
      system('audit.stopped')
      if (keys !== null) checkpoint()
    },
  }
}

/** A closed journal of so many lines: one to three calls overlap, refusals between them, a checkpoint every 40 lines. */
export function closedJournal(length = 200, writer = 'w1', keys: typeof KEYS | null = KEYS): HandWriter {
  const own = handWriter(writer, keys)
  const pattern = ['intent', 'intent', 'event', 'intent', 'event', 'event', 'event'] as const
  for (let at = 0; own.lines.length < length - (keys === null ? 1 : 2); at += 1) {
    if (keys !== null && own.lines.length % 40 === 39) own.checkpoint()
    else own[pattern[at % pattern.length] ?? 'event']()
  }
  own.stop()
  return own
}

export interface Outside {
  readonly publicKeys?: readonly JournalKey[] | undefined
  readonly checkpoints?: readonly KeptCheckpoint[] | undefined
}

/** A segment: its lines, and what stands behind them without newline. */
export type Segment =
  | readonly (string | Buffer)[]
  | { readonly lines: readonly (string | Buffer)[]; readonly tail: string }
export type Files = Readonly<Record<string, Readonly<Record<number, Segment>>>>

/** The same line is read once, whatever is done to the others. */
const BYTES = new Map<string, Buffer>()

function bytesOf(line: string | Buffer): Buffer {
  if (typeof line !== 'string') return line
  const known = BYTES.get(line) ?? Buffer.from(line)
  BYTES.set(line, known)
  return known
}

const KNOWN = new WeakMap<Buffer, WrittenLine | null>()

function read(bytes: Buffer): WrittenLine | null {
  const known = KNOWN.get(bytes)
  if (known !== undefined) return known
  const line = readWrittenLine(bytes)
  KNOWN.set(bytes, line)
  return line
}

const VOUCHERS = new WeakMap<Outside, Vouchers>()

/** The same checkpoint's signature is checked once. */
function vouchersOf(outside: Outside): Vouchers {
  const known = VOUCHERS.get(outside)
  if (known !== undefined) return known
  const vouchers = createVouchers(outside.publicKeys, outside.checkpoints)
  const signed = new WeakMap<AuditEvent, boolean | null>()
  const signs = (event: AuditEvent): boolean | null => {
    const before = signed.get(event)
    if (before !== undefined) return before
    const now = vouchers.signs(event)
    signed.set(event, now)
    return now
  }
  const quick = { ...vouchers, signs }
  VOUCHERS.set(outside, quick)
  return quick
}

/** Without files: the core of `verifyJournal` on lines. */
export function verdictOf(files: Files, outside: Outside = {}): JournalVerdict {
  const check = createJournalCheck(vouchersOf(outside), read)
  for (const [writer, segments] of Object.entries(files)) {
    const own = check.writer(writer)
    for (const [number, segment] of Object.entries(segments)) {
      const { lines, tail } = 'lines' in segment ? segment : { lines: segment, tail: '' }
      own.segment(Number(number))
      for (const line of lines) own.line(bytesOf(line))
      if (tail !== '') own.tail(Buffer.from(tail))
    }
    own.end()
  }
  return check.verdict()
}

/** The bytes of a file, as `verdictOf` takes them. */
export function segmentOf(bytes: Buffer): Segment {
  const lines: Buffer[] = []
  let start = 0
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
    lines.push(bytes.subarray(start, end))
    start = end + 1
  }
  return { lines, tail: bytes.subarray(start).toString('latin1') }
}

export const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('')

/** `w1 1:17 altered` */
export const told = ({ findings }: JournalVerdict): string[] =>
  findings.map(({ writer, segment, line, kind }) => `${writer} ${segment}:${line} ${kind}`)

/** What who can write, but not sign, makes of lines that he has changed: from `from` (an index) on every link fits again. */
export function rechained(lines: readonly string[], from: number): string[] {
  const out = lines.slice(0, from)
  const numbers = { seq: 0, n: 0 }
  for (const line of out) count(numbers, line)
  for (const line of lines.slice(from)) {
    const members = JSON.parse(line) as Record<string, unknown>
    count(numbers, line)
    if ('intent' in members) members['n'] = numbers.n
    else members['seq'] = numbers.seq
    members['prev'] = out.length === 0 ? null : sha256(out.at(-1) ?? '')
    out.push(JSON.stringify(members))
  }
  return out
}

function count(numbers: { seq: number; n: number }, line: string): void {
  if (line.startsWith('{"v":1,"intent"')) numbers.n += 1
  else numbers.seq += 1
}

/** A line that could have been written, but was not. */
export function forged(line: string, change: object = {}): string {
  const members = JSON.parse(line) as object
  return JSON.stringify({ ...members, requestId: 'forged', ...change })
}
