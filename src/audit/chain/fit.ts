import type { AuditActor, AuditDraft, AuditEvent, AuditHttp, AuditPhi } from '../event.ts'

// Where nothing of it is too long, which is nearly always, an object is given back as it is.

/** Bytes that one text, and one list of texts, may take in a line: together they keep it under 32 KiB. */
const MAX_TEXT_BYTES = 1024
const MAX_LIST_BYTES = 2048
const MAX_TYPES = 32
/** Quotes and comma. */
const AROUND_TEXT = 3
/** A UTF-16 unit becomes at most an escape of six characters. */
const UNIT_BYTES = 6
/** Up to here a text fits, whatever it holds. */
const SHORT = Math.floor(MAX_TEXT_BYTES / UNIT_BYTES)

/** JSON knows no infinity. */
export function finite(value: number): number {
  return Number.isFinite(value) ? value : 0
}

/** The text, or its beginning and `…`. */
export function fit(text: string): string {
  if (text.length <= SHORT || bytesOf(text) <= MAX_TEXT_BYTES) return text
  let end = Math.min(text.length, MAX_TEXT_BYTES)
  while (bytesOf(`${text.slice(0, end)}…`) > MAX_TEXT_BYTES) end = Math.floor(end * 0.9)
  return `${text.slice(0, end)}…`
}

export function fitOrNull(text: string | null): string | null {
  return text === null ? null : fit(text)
}

export function fitActor(actor: AuditActor): AuditActor {
  const { kind, org, keyId, sub, jti, graceEnds, by } = actor
  if (isShort(org) && isShort(keyId) && isShort(sub) && isShort(jti) && isShort(by)) return actor
  return {
    kind,
    org: fitOrNull(org),
    keyId: fitOrNull(keyId),
    sub: fitOrNull(sub),
    jti: fitOrNull(jti),
    graceEnds,
    by: fitOrNull(by),
  }
}

export function fitTarget(target: AuditDraft['target']): AuditDraft['target'] {
  if (target === null) return null
  return { keyId: fit(target.keyId), org: fit(target.org), fields: fitList(target.fields) }
}

export function fitScopes(scopes: AuditDraft['scopes']): AuditDraft['scopes'] {
  const { granted, required } = scopes
  return isShortList(granted) && isShortList(required)
    ? scopes
    : { granted: fitList(granted), required: fitList(required) }
}

export function fitClient(client: AuditDraft['client']): AuditDraft['client'] {
  return isShort(client.ip) ? client : { ip: fitOrNull(client.ip), via: client.via }
}

/** Of an event or an intent. */
export function fitHttp<T extends Pick<AuditHttp, 'method' | 'route' | 'query'>>(http: T): T {
  const { method, route, query } = http
  if (isShort(method) && isShort(route) && isShortList(query)) return http
  return { ...http, method: fit(method), route: fit(route), query: fitList(query) }
}

/** Patients are split over several lines (`chain.split`), never cut. */
export function fitPhi(phi: AuditPhi | null): AuditPhi | null {
  if (phi === null || (isShort(phi.interaction) && phi.types.length <= MAX_TYPES && isShortList(phi.types))) return phi
  return { ...phi, interaction: fitOrNull(phi.interaction), types: fitList(phi.types.slice(0, MAX_TYPES)) }
}

export function fitService({ name, version, instance }: AuditEvent['service']): AuditEvent['service'] {
  return { name: fit(name), version: fitOrNull(version), instance: fit(instance) }
}

function isShort(text: string | null): boolean {
  return text === null || text.length <= SHORT
}

function isShortList(list: readonly string[]): boolean {
  if (!Array.isArray(list)) throw new TypeError('Not a list.')
  let most = 4
  for (const text of list) most += text.length * UNIT_BYTES + AROUND_TEXT
  return most <= MAX_TEXT_BYTES
}

/** The list, its texts fitted, or its beginning and `*`. */
function fitList(list: readonly string[]): readonly string[] {
  if (isShortList(list)) return list
  const kept: string[] = []
  let bytes = 4
  for (const each of list) {
    const text = fit(each)
    bytes += bytesOf(text) + AROUND_TEXT
    if (bytes > MAX_LIST_BYTES) return [...kept, '*']
    kept.push(text)
  }
  return kept
}

/** As JSON, without the quotes. */
function bytesOf(text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2
}
