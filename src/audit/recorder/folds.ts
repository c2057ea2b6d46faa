import { addressGroup } from '../../lib/cidr.ts'
import type { Clock } from '../../lib/clock.ts'
import type { AuditDraft, AuditHttp, AuditPhi } from '../event.ts'
import { isRefusal } from './refusal.ts'

/** Refusals cost their caller nothing: beyond a budget those of nobody known are counted together. */
export interface Folds {
  /** The draft if it is an event of its own; `null`: it is part of a fold. */
  take(draft: AuditDraft): AuditDraft | null
  /** One event for each group whose second is over; to be fetched once a second: until then its group stays open. */
  due(): readonly AuditDraft[]
  /** One event for each group; none is open afterwards. */
  all(): readonly AuditDraft[]
}

export interface FoldSettings {
  /** Refusals that are events of their own, in each second. */
  readonly perSecond: number
  readonly clock: Clock
}

/** What the calls of one group have in common. */
interface Fold {
  readonly first: AuditDraft
  /** In CIDR notation; `null`: of unknown or of too many places. */
  readonly network: string | null
  time: number
  durationMs: number
  action: AuditDraft['action']
  actorKind: AuditDraft['actor']['kind']
  required: readonly string[]
  via: number
  http: AuditHttp | null
  bytes: number
  operation: string | null
  phi: AuditPhi | null
  delivered: AuditDraft['delivered']
  count: number
}

/** Further places of one second count together. */
const MAX_GROUPS = 1000
/** Of an event; there are no more in it. */
const MAX_TYPES = 32
const NO_DRAFTS: readonly AuditDraft[] = Object.freeze([])
const NO_TEXTS: readonly string[] = Object.freeze([])

export function createFolds({ perSecond, clock }: FoldSettings): Folds {
  const groups = new Map<string, Fold>()
  let second = Number.NaN
  let used = 0
  /** Of the open groups. */
  let groupsSecond = Number.NaN

  const isWithinBudget = (): boolean => {
    const now = secondOf(clock)
    if (now !== second) {
      second = now
      used = 0
    }
    used += 1
    return used <= perSecond
  }
  const fold = (draft: AuditDraft): void => {
    if (groups.size === 0) groupsSecond = second
    const network = draft.client.ip === null ? ANYWHERE : addressGroup(draft.client.ip, 24)
    const own = groups.get(keyOf(draft, network))
    const place = own === undefined && groups.size >= MAX_GROUPS ? ANYWHERE : network
    const group = own ?? groups.get(keyOf(draft, place))
    if (group === undefined) groups.set(keyOf(draft, place), begin(draft, place === ANYWHERE ? null : place))
    else join(group, draft)
  }
  const all = (): readonly AuditDraft[] => {
    if (groups.size === 0) return NO_DRAFTS
    const drafts = Array.from(groups.values(), draftOf)
    groups.clear()
    return drafts
  }

  return Object.freeze({
    take(draft: AuditDraft) {
      if (!isRefusal(draft) || isWithinBudget() || standsAlone(draft)) return draft
      fold(draft)
      return null
    },
    due: () => (groups.size === 0 || secondOf(clock) <= groupsSecond ? NO_DRAFTS : all()),
    all,
  })
}

const ANYWHERE = '*'

/** A known caller's refusals never drown; and what has its intent in the journal, or continues an event, is waited for. */
function standsAlone({ id, part, actor }: AuditDraft): boolean {
  return actor.keyId !== null || actor.sub !== null || actor.org !== null || id !== null || part !== null
}

function secondOf(clock: Clock): number {
  return Math.floor(clock.monotonicMs() / 1000)
}

/** The name implies the kind, and is told of no call that it is not true of. */
function keyOf({ reason, name }: AuditDraft, network: string): string {
  return `${reason} ${name} ${network}`
}

function begin(draft: AuditDraft, network: string | null): Fold {
  const { time, durationMs, action, actor, scopes, client, http, operation, phi, delivered, count } = draft
  return {
    first: draft,
    network,
    time,
    durationMs,
    action,
    actorKind: actor.kind,
    required: scopes.required,
    via: client.via,
    http,
    bytes: http?.bytes ?? 0,
    operation,
    phi: phi === null ? null : phiOf(phi),
    delivered,
    count,
  }
}

function join(fold: Fold, draft: AuditDraft): void {
  fold.time = Math.min(fold.time, draft.time)
  fold.durationMs = Math.max(fold.durationMs, draft.durationMs)
  fold.action = agreed(fold.action, draft.action, null)
  fold.actorKind = agreed(fold.actorKind, draft.actor.kind, 'none')
  fold.required = haveSameTexts(fold.required, draft.scopes.required) ? fold.required : NO_TEXTS
  fold.via = agreed(fold.via, draft.client.via, 0)
  fold.http = joinHttp(fold.http, draft.http)
  fold.bytes += draft.http?.bytes ?? 0
  fold.operation = agreed(fold.operation, draft.operation, null)
  fold.phi = joinPhi(fold.phi, draft.phi)
  fold.delivered = agreed(fold.delivered, draft.delivered, null)
  fold.count += draft.count
}

function agreed<T>(one: T, other: T, otherwise: T): T {
  return one === other ? one : otherwise
}

function haveSameTexts(one: readonly string[], other: readonly string[]): boolean {
  return one === other || (one.length === other.length && one.every((text, index) => text === other[index]))
}

/** Nothing new is made where nothing changes: in a flood most calls are alike. */
function joinHttp(one: AuditHttp | null, other: AuditHttp | null): AuditHttp | null {
  if (one === null || other === null) return one ?? other
  const method = agreed(one.method, other.method, '*')
  const route = agreed(one.route, other.route, '*')
  const status = agreed(one.status, other.status, null)
  return method === one.method && route === one.route && status === one.status ? one : { ...one, method, route, status }
}

/** Which types were asked for; patients, whom nobody was shown, are not named. */
function joinPhi(one: AuditPhi | null, other: AuditPhi | null): AuditPhi | null {
  if (other === null) return one
  if (one === null) return phiOf(other)
  const interaction = agreed(one.interaction, other.interaction, null)
  const attribution = agreed(one.attribution, other.attribution, 'none')
  const bulk = one.bulk || other.bulk
  const more = other.types.filter((type) => !one.types.includes(type))
  const isSame = interaction === one.interaction && attribution === one.attribution && bulk === one.bulk
  if (isSame && (more.length === 0 || one.types.length >= MAX_TYPES)) return one
  return { ...one, interaction, attribution, bulk, types: [...one.types, ...more].slice(0, MAX_TYPES) }
}

function phiOf({ interaction, types, bulk, attribution }: AuditPhi): AuditPhi {
  return { interaction, types, patients: NO_TEXTS, patientCount: null, resourceCount: null, bulk, attribution }
}

function draftOf(fold: Fold): AuditDraft {
  const { first, network, actorKind, required, via, http, bytes } = fold
  const { time, durationMs, action, operation, phi, delivered, count } = fold
  return {
    ...first,
    time,
    durationMs,
    action,
    actor: { kind: actorKind, org: null, keyId: null, sub: null, jti: null, graceEnds: null, by: null },
    scopes: { granted: NO_TEXTS, required },
    client: { ip: network, via },
    http: http === null ? null : { ...http, query: NO_TEXTS, bytes },
    requestId: null,
    operation,
    purpose: null,
    phi,
    delivered,
    count,
  }
}
