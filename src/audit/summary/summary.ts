import type { AuditEvent } from '../event.ts'
import {
  createBudget,
  createSeries,
  createTally,
  figureOf,
  MAX_PERIODS,
  type Figure,
  type Series,
  type Tally,
} from './figures.ts'
import { createKeyCounts, type History, type KeyCaps, type KeyCounts, type KeySummary } from './key.ts'

export interface SummarySettings {
  /** The period that is looked at, epoch milliseconds: from `since` on, strictly before `until`. */
  readonly since: number
  readonly until: number
  /** When the journal begins; `null`: it is empty. Periods before that are not compared with. */
  readonly begins: number | null
  /** What is told apart exactly: patients of one key in one period, of all together; addresses likewise. */
  readonly caps?: Partial<Record<'patientsEach' | 'patients' | 'addressesEach' | 'addresses', number>>
}

export interface JournalSummary {
  readonly since: string
  readonly until: string
  /** How many periods of the same length before it the means are of. */
  readonly periods: number
  /** Those with the most calls first. */
  readonly keys: readonly KeySummary[]
  /** Calls that named no key and no organization that is known. */
  readonly withoutIdentity: { readonly calls: Figure; readonly denials: KeySummary['denials'] }
  /** Served calls of which nobody has said what data they concerned. */
  readonly unattributed: Figure & { readonly routes: readonly (Figure & { readonly route: string })[] }
  /** Calls during which the process ended. */
  readonly interrupted: Figure
  /** Calls that stand in no event. */
  readonly gaps: Figure
  /** Clean ends and beginnings of processes, and those whose crash was cleaned up after. */
  readonly stops: Figure
  readonly starts: Figure
  readonly recoveries: Figure
  readonly clockJumps: Figure
  /** Of keys and tokens, by the name of the event. */
  readonly changes: readonly (Figure & { readonly name: string })[]
}

export interface Summary {
  /** In any order. Events of other times count for nothing. */
  add(event: AuditEvent): void
  result(): JournalSummary
}

/** How far back events are needed, epoch milliseconds. */
export function historyStart({ since, until }: Pick<SummarySettings, 'since' | 'until'>): number {
  return since - MAX_PERIODS * (until - since)
}

const CAPS = { patientsEach: 100_000, patients: 2_000_000, addressesEach: 10_000, addresses: 500_000 }

/** Memory grows with the keys and with their patients in each period, up to the caps. */
export function createSummary(settings: SummarySettings): Summary {
  const { since, until, begins } = settings
  const periodMs = until - since
  const periods = periodsPresent(settings)
  const keys = createKeys(capsOf(settings), periodMs)
  const whole = createWhole()
  return Object.freeze({
    add(event: AuditEvent) {
      const time = Date.parse(event.time)
      const period = time >= since ? 0 : Math.ceil((since - time) / periodMs)
      if (time >= until || period > MAX_PERIODS) return
      // A period that the journal holds in part would make every mean too small.
      const isWhole = period <= periods
      const isCall = event.kind === 'access' || event.kind === 'auth'
      if (isCall && isKnown(event)) keys.add(event, { index: period, isWhole })
      if (isWhole) whole.add(event, period)
    },
    result: () => ({
      since: new Date(since).toISOString(),
      until: new Date(until).toISOString(),
      periods,
      keys: keys.summaries({ periods, exists: begins !== null && begins < since }),
      ...whole.result(periods),
    }),
  })
}

function isKnown({ actor }: AuditEvent): boolean {
  return actor.keyId !== null || actor.org !== null
}

/** Those that lie in the journal from beginning to end. */
function periodsPresent({ since, until, begins }: SummarySettings): number {
  if (begins === null || begins >= since) return 0
  return Math.min(MAX_PERIODS, Math.floor((since - begins) / (until - since)))
}

function capsOf({ caps = {} }: SummarySettings): KeyCaps {
  const { patientsEach, patients, addressesEach, addresses } = { ...CAPS, ...caps }
  return { patientsEach, addressesEach, patients: createBudget(patients), addresses: createBudget(addresses) }
}

interface Keys {
  add: KeyCounts['add']
  summaries(history: History): readonly KeySummary[]
}

function createKeys(caps: KeyCaps, periodMs: number): Keys {
  const known = new Map<string, { readonly key: string | null; readonly org: string | null; counts: KeyCounts }>()
  return {
    add(event, period) {
      const { keyId, org } = event.actor
      const name = JSON.stringify([keyId, org])
      const entry = known.get(name) ?? { key: keyId, org, counts: createKeyCounts(caps, periodMs) }
      known.set(name, entry)
      entry.counts.add(event, period)
    },
    summaries: (history) =>
      [...known.values()]
        .map(({ key, org, counts }) => counts.summary({ key, org }, history))
        .toSorted(
          (a, b) =>
            b.calls.count - a.calls.count ||
            (b.calls.mean ?? 0) - (a.calls.mean ?? 0) ||
            (`${a.key} ${a.org}` < `${b.key} ${b.org}` ? -1 : 1),
        ),
  }
}

type WholeResult = Omit<JournalSummary, 'since' | 'until' | 'periods' | 'keys'>

/** What belongs to no key. */
function createWhole() {
  const [strangers, refusals, routes] = [createSeries(), createTally(), createTally()]
  const [unattributed, interrupted, changes] = [createSeries(), createSeries(), createTally()]
  const system = createTally()
  const put = (series: Series, { count }: AuditEvent, period: number): void => {
    series[period] = (series[period] ?? 0) + count
  }
  const addCall = (event: AuditEvent, period: number): void => {
    const { outcome, reason, count, phi, http, operation } = event
    if (outcome === 'interrupted') put(interrupted, event, period)
    if (!isKnown(event)) {
      put(strangers, event, period)
      if (outcome === 'denied') refusals.add(reason ?? outcome, period, count)
    }
    if (outcome === 'denied' || phi?.attribution !== 'none') return
    put(unattributed, event, period)
    routes.add(http?.route ?? operation ?? '*', period, count)
  }
  return {
    add(event: AuditEvent, period: number) {
      const { kind, name, count, part } = event
      if (kind === 'admin') changes.add(name, period, count)
      else if (kind === 'system') system.add(name, period, count)
      // A continuation is no call of its own.
      else if (part === null) addCall(event, period)
    },
    result(periods: number): WholeResult {
      const ofSystem = systemFigures(system, periods)
      return {
        withoutIdentity: {
          calls: figureOf(strangers, periods),
          denials: refusals.figures(periods).map(({ name, count, mean }) => ({ reason: name, count, mean })),
        },
        unattributed: {
          ...figureOf(unattributed, periods),
          routes: routes.figures(periods).map(({ name, count, mean }) => ({ route: name, count, mean })),
        },
        interrupted: figureOf(interrupted, periods),
        gaps: ofSystem('audit.gap'),
        stops: ofSystem('audit.stopped'),
        starts: ofSystem('audit.started'),
        recoveries: ofSystem('audit.recovered'),
        clockJumps: ofSystem('clock.jump'),
        changes: changes.figures(periods),
      }
    },
  }
}

function systemFigures(system: Tally, periods: number): (name: AuditEvent['name']) => Figure {
  const figures = new Map(system.figures(periods).map(({ name, count, mean }) => [name, { count, mean }] as const))
  return (name) => figures.get(name) ?? figureOf(undefined, periods)
}
