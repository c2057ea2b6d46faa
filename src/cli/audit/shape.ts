import type { AuditEvent } from '../../audit/event.ts'
import { ownMember } from '../../lib/own-member.ts'

type Check = (value: unknown) => boolean

const text: Check = (value) => typeof value === 'string'
const number: Check = (value) => typeof value === 'number'
const truth: Check = (value) => typeof value === 'boolean'
const instant: Check = (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value))
const texts: Check = (value) => Array.isArray(value) && value.every(text)
const uuid: Check = (value) => typeof value === 'string' && /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(value)
const one: Check = (value) => value === 1

function maybe(check: Check): Check {
  return (value) => value === null || check(value)
}

function members(shape: Readonly<Record<string, Check>>): Check {
  const entries = Object.entries(shape)
  return (value) => entries.every(([name, check]) => check(ownMember(value, name)))
}

const ACTOR = {
  kind: text,
  org: maybe(text),
  keyId: maybe(text),
  sub: maybe(text),
  jti: maybe(text),
  graceEnds: maybe(instant),
  by: maybe(text),
} satisfies Record<keyof AuditEvent['actor'], Check>

const HTTP = {
  method: text,
  route: text,
  status: maybe(number),
  query: texts,
  bytes: number,
} satisfies Record<keyof NonNullable<AuditEvent['http']>, Check>

const PHI = {
  interaction: maybe(text),
  types: texts,
  patients: texts,
  patientCount: maybe(number),
  resourceCount: maybe(number),
  bulk: truth,
  attribution: text,
} satisfies Record<keyof NonNullable<AuditEvent['phi']>, Check>

const EVENT = {
  v: one,
  id: uuid,
  kind: text,
  name: text,
  time: instant,
  recorded: instant,
  durationMs: number,
  outcome: text,
  reason: maybe(text),
  action: maybe(text),
  actor: members(ACTOR),
  target: maybe(members({ keyId: text, org: text, fields: texts })),
  env: text,
  scopes: members({ granted: texts, required: texts }),
  client: members({ ip: maybe(text), via: number }),
  http: maybe(members(HTTP)),
  requestId: maybe(text),
  operation: maybe(text),
  purpose: maybe(text),
  phi: maybe(members(PHI)),
  delivered: maybe(text),
  count: number,
  part: maybe(members({ n: number, of_id: text })),
  service: members({ name: text, version: maybe(text), instance: text }),
  writer: text,
  seq: number,
  prev: maybe(text),
} satisfies Record<Exclude<keyof AuditEvent, 'checkpoint' | 'retention'>, Check>

const isWhole = members(EVENT)

/** A line that somebody has altered must not end the command that reads it: every member is looked at before it is used. */
export function isWholeEvent(value: unknown): value is AuditEvent {
  return isWhole(value)
}
