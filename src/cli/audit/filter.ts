import type { AuditEvent } from '../../audit/event.ts'
import { readRange, type RangeOptions } from './instants.ts'
import { patientFilter } from './patient.ts'
import { usage } from '../command-error.ts'
import type { Shell } from '../shell.ts'

export interface FilterOptions extends RangeOptions {
  readonly id?: string
  readonly key?: readonly string[]
  readonly org?: string
  readonly patient?: string
  readonly kind?: readonly string[]
  readonly name?: readonly string[]
  readonly outcome?: readonly string[]
  readonly reason?: readonly string[]
  readonly route?: string
  readonly requestId?: string
  readonly ip?: string
  readonly jti?: string
}

export interface Filter {
  /** Epoch milliseconds. */
  readonly since: number | null
  readonly accepts: (event: AuditEvent) => boolean
}

type Test = (event: AuditEvent) => boolean

/** All that is given must fit; of several values of one option, one. */
export async function readFilter(shell: Shell, options: FilterOptions): Promise<Filter> {
  const { since, until } = readRange(options, Date.now())
  const tests = [
    ...(since === null && until === null ? [] : [inRange(since, until)]),
    ...listTests(options),
    ...textTests(options),
    ...(options.patient === undefined ? [] : [await patientFilter(shell, options.patient)]),
  ]
  return { since, accepts: (event) => tests.every((test) => test(event)) }
}

function inRange(since: number | null, until: number | null): Test {
  return (event) => {
    const time = Date.parse(event.time)
    return (since === null || time >= since) && (until === null || time < until)
  }
}

const KINDS = ['access', 'auth', 'admin', 'system'] satisfies AuditEvent['kind'][]
const OUTCOMES = ['success', 'denied', 'error', 'aborted', 'interrupted'] satisfies AuditEvent['outcome'][]

function listTests({ key, kind, name, outcome, reason }: FilterOptions): readonly Test[] {
  checkWords('--kind', kind, KINDS)
  checkWords('--outcome', outcome, OUTCOMES)
  checkForm('--reason', reason, /^[a-z0-9_]{1,64}$/, 'key_unknown')
  checkForm('--name', name, /^[a-z.]{1,64}$/, 'request or key.create')
  return [
    // What was done with a key, and what was done to it.
    ...anyOf(key, ({ actor, target }) => [actor.keyId, target?.keyId]),
    ...anyOf(kind, (event) => [event.kind]),
    ...anyOf(name, (event) => [event.name]),
    ...anyOf(outcome, (event) => [event.outcome]),
    ...anyOf(reason, (event) => [event.reason]),
  ]
}

function textTests({ id, org, route, requestId, ip, jti }: FilterOptions): readonly Test[] {
  const list = (text: string | undefined) => (text === undefined ? undefined : [text])
  return [
    // With the parts that continue it.
    ...anyOf(list(id), (event) => [event.id, event.part?.of_id]),
    ...anyOf(list(org), ({ actor, target }) => [actor.org, target?.org]),
    ...anyOf(list(route), ({ http }) => [http?.route]),
    ...anyOf(list(requestId), (event) => [event.requestId]),
    ...anyOf(list(ip), ({ client }) => [client.ip]),
    ...anyOf(list(jti), ({ actor }) => [actor.jti]),
  ]
}

function anyOf(
  wanted: readonly string[] | undefined,
  membersOf: (event: AuditEvent) => readonly (string | null | undefined)[],
): readonly Test[] {
  if (wanted === undefined) return []
  const known: ReadonlySet<unknown> = new Set(wanted)
  return [(event) => membersOf(event).some((member) => known.has(member))]
}

function checkWords(option: string, given: readonly string[] | undefined, known: readonly string[]): void {
  if (given?.every((each) => known.includes(each)) === false) {
    throw usage(`${option}: expected one of ${known.join(', ')}.`)
  }
}

function checkForm(option: string, given: readonly string[] | undefined, ...[form, example]: [RegExp, string]): void {
  if (given?.every((each) => form.test(each)) === false) throw usage(`${option}: expected a word such as ${example}.`)
}
