import { createHash, createHmac, hkdfSync, sign, type KeyObject } from 'node:crypto'
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkpointText, keyIdOf } from '../../../src/audit/chain/checkpoint.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'

/** Whole members of an event, and of those that are objects single ones. */
export interface Change extends Partial<Omit<AuditEvent, 'actor' | 'http' | 'phi' | 'client'>> {
  readonly actor?: Partial<AuditEvent['actor']>
  readonly http?: Partial<NonNullable<AuditEvent['http']>> | null
  readonly phi?: Partial<NonNullable<AuditEvent['phi']>> | null
  readonly client?: Partial<AuditEvent['client']>
}

let ids = 0

export function eventOf({ actor, http, phi, client, ...change }: Change = {}): AuditEvent {
  ids += 1
  const time = change.time ?? '2026-11-24T03:05:11.123Z'
  return {
    v: 1,
    id: `01930000-0000-7000-8000-${String(ids).padStart(12, '0')}`,
    kind: 'access',
    name: 'request',
    time,
    recorded: new Date(Date.parse(time) + 12).toISOString(),
    durationMs: 12.4,
    outcome: 'success',
    reason: null,
    action: 'R',
    actor: {
      kind: 'api-key',
      org: 'org_1',
      keyId: 'key_1',
      sub: null,
      jti: null,
      graceEnds: null,
      by: null,
      ...actor,
    },
    target: null,
    env: 'live',
    scopes: { granted: ['read:patients'], required: ['read:patients'] },
    client: { ip: '203.0.113.7', via: 0, ...client },
    http:
      http === null
        ? null
        : { method: 'GET', route: '/v1/patients/:id', status: 200, query: ['_count'], bytes: 812, ...http },
    requestId: 'req_1',
    operation: null,
    purpose: null,
    phi:
      phi === null
        ? null
        : {
            interaction: 'read',
            types: ['Patient'],
            patients: [PSEUDONYM],
            patientCount: 1,
            resourceCount: 1,
            bulk: false,
            attribution: 'route',
            ...phi,
          },
    delivered: 'full',
    count: 1,
    part: null,
    service: { name: 'records', version: '1.2.3', instance: 'host:1' },
    writer: 'w1',
    seq: 1,
    prev: null,
    ...change,
  }
}

export function systemEvent(name: AuditEvent['name'], time: string, change: Change = {}): AuditEvent {
  return eventOf({
    kind: 'system',
    name,
    time,
    action: 'E',
    actor: { kind: 'none', org: null, keyId: null },
    scopes: { granted: [], required: [] },
    client: { ip: null },
    http: null,
    phi: null,
    requestId: null,
    delivered: null,
    ...change,
  })
}

/** Of `docs/audit-events.md`: patient 123 of org_1 by the key k1, whose secret are the bytes 0 to 31. */
export const PSEUDONYM = 'pt_k1_OMKeXRz2N3IEtD7OCYNi81'
export const SECRET = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='

/** By the formula of the page, not by our code. */
export function pseudonymOf(secret: string, id: string, [org, patient]: readonly [string, string]): string {
  const key = hkdfSync('sha256', Buffer.from(secret, 'base64'), '', `hc-audit:${org}`, 32)
  const mac = createHmac('sha256', Buffer.from(key)).update(`Patient/${patient}`).digest('base64url')
  return `pt_${id}_${mac.slice(0, 22)}`
}

export interface EventPlace {
  readonly seq: number
  readonly prev: string | null
}

export interface TestWriter {
  /** Appends events, chained and numbered; a function is told the place. */
  write(...events: readonly (AuditEvent | ((place: EventPlace) => AuditEvent))[]): void
  intent(time?: string): void
  /** Appends as it stands. */
  raw(text: string): void
  /** What follows goes into the next segment. */
  nextSegment(): void
  readonly file: string
}

export interface TestJournal {
  readonly directory: string
  writer(name: string, segment?: number): TestWriter
  remove(): void
}

export function makeJournal(): TestJournal {
  const directory = mkdtempSync(join(tmpdir(), 'hc-audit-'))
  return {
    directory,
    writer: (name, segment) => makeWriter(directory, name, segment),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}

function makeWriter(directory: string, writer: string, first = 1): TestWriter {
  const folder = join(directory, writer)
  mkdirSync(folder, { recursive: true })
  let [segment, seq, n] = [first, 0, 0]
  let prev: string | null = null
  const path = () => join(folder, `${String(segment).padStart(8, '0')}.jsonl`)
  const line = (value: unknown) => {
    const text = JSON.stringify(value)
    prev = createHash('sha256').update(text).digest('hex')
    return `${text}\n`
  }
  return {
    write(...events) {
      const lines = events.map((each) => {
        seq += 1
        const event = typeof each === 'function' ? each({ seq, prev }) : each
        return line({ ...event, writer, seq, prev })
      })
      appendFileSync(path(), lines.join(''))
    },
    intent(time = '2026-11-24T03:05:11.123Z') {
      n += 1
      const { action, actor, env, scopes, client, requestId, phi } = eventOf({ time })
      const http = { method: 'GET', route: '/v1/patients/:id', query: [] }
      const intent = `01930000-0000-7000-9000-${String(n).padStart(12, '0')}`
      const head = { v: 1, intent, n, time, action, actor, env, scopes, client, http, requestId, phi }
      appendFileSync(path(), line({ ...head, writer, prev }))
    },
    raw: (text) => appendFileSync(path(), text),
    nextSegment() {
      segment += 1
    },
    get file() {
      return path()
    },
  }
}

export interface KeyPair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

/** Signs all that the writer has written, as the recorder does, and gives the line. */
export function sealWriter(writer: TestWriter, { publicKey, privateKey }: KeyPair, time: string): string {
  const name = writer.file.split('/').at(-2) ?? ''
  writer.write((place) => {
    const event = systemEvent('audit.checkpoint', time)
    const text = checkpointText({ writer: name, recorded: event.recorded, ...place })
    const signature = sign(null, Buffer.from(text), privateKey).toString('base64url')
    return { ...event, checkpoint: { keyId: keyIdOf(publicKey), signature } }
  })
  return readFileSync(writer.file, 'utf8').split('\n').at(-2) ?? ''
}
