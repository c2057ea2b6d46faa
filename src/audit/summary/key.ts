import type { AuditEvent } from '../event.ts'
import { createHours, type HoursFigure } from './hours.ts'
import {
  createDistinct,
  createSeries,
  createTally,
  figureOf,
  meanOf,
  type Budget,
  type DistinctFigure,
  type Figure,
} from './figures.ts'

/** What one key did, or the tokens of one organization that name no key. */
export interface KeySummary {
  /** `null`: tokens that name no key. */
  readonly key: string | null
  readonly org: string | null
  /** It was not seen before. `null`: the journal does not go back further. */
  readonly isNew: boolean | null
  readonly calls: Figure
  readonly bulk: Figure
  /** Those whose data calls concerned that were not refused. */
  readonly patients: DistinctFigure
  readonly denied: Figure
  readonly denials: readonly (Figure & { readonly reason: string })[]
  readonly addressesFirstSeen: AddressFigure
  readonly unusualHours: HoursFigure
  /** Calls with a key that has been rotated, and the last instant that such a key ends. */
  readonly rotated: Figure & { readonly graceEnds: string | null }
}

/** Addresses that a key was used from, and was not before. */
export interface AddressFigure {
  /** `null`: there were too many to tell, or the journal does not go back further. */
  readonly count: number | null
  readonly mean: number | null
  /** At most 20, in the order in which they came. */
  readonly addresses: readonly string[]
}

export interface KeyCaps {
  readonly patients: Budget
  readonly addresses: Budget
  readonly patientsEach: number
  readonly addressesEach: number
}

export interface KeyCounts {
  /**
   * `period`: 0 is the one that is looked at, 1 the one before it. Of one that lies in the journal in part alone nothing is
   * counted; but what was seen in it was seen.
   */
  add(event: AuditEvent, period: { readonly index: number; readonly isWhole: boolean }): void
  summary(whose: Pick<KeySummary, 'key' | 'org'>, history: History): KeySummary
}

/** What there is to compare with. */
export interface History {
  /** Whole periods. */
  readonly periods: number
  /** Anything at all. */
  readonly exists: boolean
}

export function createKeyCounts(caps: KeyCaps, periodMs: number): KeyCounts {
  const [calls, bulk, denied, rotated] = [createSeries(), createSeries(), createSeries(), createSeries()]
  const patients = createDistinct(caps.patients, caps.patientsEach)
  const denials = createTally()
  const addresses = createAddresses(caps)
  const hours = createHours(periodMs)
  let graceEnds: string | null = null
  let seenBefore = false

  return Object.freeze<KeyCounts>({
    add(event, { index: period, isWhole }) {
      const { actor, phi, outcome, client } = event
      const isDenied = outcome === 'denied'
      if (period > 0) seenBefore = true
      if (client.ip !== null) addresses.add(client.ip, period)
      if (!isWhole) return
      if (!isDenied) for (const patient of phi?.patients ?? []) patients.add(patient, period)
      // A continuation is no call of its own.
      if (event.part !== null) return
      addTo(calls, period, event.count)
      hours.add(Date.parse(event.time), period, event.count)
      if (isDenied) {
        addTo(denied, period, event.count)
        denials.add(event.reason ?? outcome, period, event.count)
      } else if (phi?.bulk === true) addTo(bulk, period, event.count)
      if (actor.graceEnds === null) return
      addTo(rotated, period, event.count)
      if (period === 0 && (graceEnds === null || graceEnds < actor.graceEnds)) graceEnds = actor.graceEnds
    },
    summary({ key, org }, { periods, exists }) {
      return {
        key,
        org,
        isNew: exists ? !seenBefore : null,
        calls: figureOf(calls, periods),
        bulk: figureOf(bulk, periods),
        patients: patients.figure(periods),
        denied: figureOf(denied, periods),
        denials: denials.figures(periods).map(({ name, count, mean }) => ({ reason: name, count, mean })),
        addressesFirstSeen: exists ? addresses.figure(periods) : { count: null, mean: null, addresses: [] },
        unusualHours: hours.figure(periods),
        rotated: { ...figureOf(rotated, periods), graceEnds },
      }
    },
  })
}

function addTo(series: Float64Array, period: number, calls: number): void {
  series[period] = (series[period] ?? 0) + calls
}

const MAX_LISTED = 20

/** When each address was seen first: in which period. */
function createAddresses({ addresses: budget, addressesEach }: KeyCaps): {
  add(ip: string, period: number): void
  figure(periods: number): AddressFigure
} {
  const firstPeriods = new Map<string, number>()
  let isFull = false
  return {
    add(ip, period) {
      const known = firstPeriods.get(ip)
      if (known !== undefined) {
        if (period > known) firstPeriods.set(ip, period)
      } else if (firstPeriods.size < addressesEach && budget.take()) firstPeriods.set(ip, period)
      else isFull = true
    },
    figure(periods) {
      // What was not kept may have been known, and what is new may not have been kept.
      if (isFull) return { count: null, mean: null, addresses: [] }
      const found = [...firstPeriods].filter(([, period]) => period === 0).map(([ip]) => ip)
      // In the oldest period every address is new.
      const before = [...firstPeriods.values()].filter((period) => period > 0 && period < periods).length
      return {
        count: found.length,
        mean: meanOf(before, Math.max(0, periods - 1)),
        addresses: found.slice(0, MAX_LISTED),
      }
    },
  }
}
