import type { DraftFinding, JournalFindingKind, Place } from './finding.ts'
import {
  after,
  besideOne,
  furthest,
  isNext,
  newMark,
  reach,
  stepOf,
  unknownBeside,
  type LinkedLine,
  type Mark,
} from './mark.ts'
import { createMemory, type Branch, type Memory } from './memory.ts'

/** Looks at how each line of one writer follows the one before, and goes on behind what does not. */
export interface LinkCheck {
  line(line: LinkedLine): void
  /** A line that cannot be read; or a segment that ends in the middle of one although the journal goes on. */
  broken(place: Place, kind: BrokenKind): void
  /**
   * What was seen so far is followed by nothing that could explain it: the end, or a hole in the files. Gives the number of
   * lines that stood last and have no place in the chain.
   */
  settle(): number
  /** The next line is believed, whatever it names. */
  forget(): void
}

export interface LinkSettings {
  report(place: Place, kind: JournalFindingKind): DraftFinding
  /** Says something else of what was found before; it may have been withdrawn meanwhile. */
  retell(finding: DraftFinding, kind: JournalFindingKind): void
  /** What was found behind the first place and before the second follows from what is reported of the first. */
  withdraw(behind: Place, before: Place): void
  /** Called for each line that stands in its chain, in the chain's order. */
  accept(line: LinkedLine): void
  /** Somebody outside knows of an event with this number. */
  isKnown(seq: number): boolean
}

type BrokenKind = 'malformed' | 'truncated'

/** Lines that do not follow what stands before them: only what comes after shows what they are. */
interface Run {
  readonly start: Place
  /** `null`: its first line can be read. */
  readonly kind: BrokenKind | null
  readonly first: LinkedLine | null
  last: LinkedLine | null
  count: number
  /** The finding for the place where one of them is missed. */
  moved: DraftFinding | null
}

interface State extends LinkSettings {
  readonly memory: Memory
  tip: Mark
  run: Run | null
}

export function createLinkCheck(settings: LinkSettings): LinkCheck {
  const state: State = { ...settings, memory: createMemory(), tip: newMark(), run: null }
  return Object.freeze({
    line(line: LinkedLine) {
      check(state, line)
    },
    broken(place: Place, kind: BrokenKind) {
      // What stands before it is a matter of its own.
      if (state.run?.count === 1 && state.run.first !== null) settle(state)
      if (state.run === null) state.run = { start: place, kind, first: null, last: null, count: 1, moved: null }
      else extend(state.run, null)
    },
    settle: () => settle(state),
    forget() {
      state.tip = newMark({ hash: undefined, seq: Number.NaN, n: Number.NaN })
      state.memory.forget()
    },
  })
}

function check(state: State, line: LinkedLine): void {
  const { run, tip } = state
  if (run !== null) resolve(state, run, line)
  else if (isNext(tip, line)) accept(state, line)
  else {
    const doubtful = line.own && line.prev === tip.hash && stepOf(tip, line) > 0 ? state.memory.doubtOf(line) : null
    if (doubtful !== null) {
      state.retell(doubtful, 'deleted')
      accept(state, line)
      return
    }
    state.run = { start: line.place, kind: null, first: line, last: line, count: 1, moved: null }
    recall(state, state.run, line)
  }
}

/** Was this line missed elsewhere? */
function recall(state: State, run: Run, line: LinkedLine): void {
  const finding = state.memory.missed(line)
  if (finding === null) return
  state.tip = reach(state.tip, line)
  run.moved ??= finding
}

function accept(state: State, line: LinkedLine, base: Mark = state.tip): void {
  state.tip = after(base, line)
  state.run = null
  state.memory.passed(state.tip, line)
  state.accept(line)
}

/** Lines are held, and here is the next one. */
function resolve(state: State, run: Run, line: LinkedLine): void {
  const { first, last } = run
  const linked = last !== null && last.own && line.prev === last.hash
  if (isNext(state.tip, line)) {
    passStrangers(state, run, line)
  } else if (linked && last === first && put(state, last)) {
    check(state, line)
  } else if (linked && last !== first && stepOf(state.tip, last) >= 0) {
    explain(state, run, run.kind ?? 'altered')
    accept(state, last, unknownBeside(state.tip, last))
    check(state, line)
  } else if (linked || !standsFor(state, run, line)) {
    extend(run, line)
    recall(state, run, line)
  }
}

function extend(run: Run, line: LinkedLine | null): void {
  run.count += 1
  run.last = line
}

/** `next` goes on where the held ones began. */
function passStrangers(state: State, run: Run, next: LinkedLine): void {
  const { first, count, start, kind } = run
  if (count === 1 && first !== null && isNext(after(state.tip, next), first)) {
    state.report(start, 'reordered')
    accept(state, next)
    accept(state, first)
    return
  }
  // Behind a hole in the files everything goes on: then the held ones may have been part of it.
  const finding = explain(state, run, state.tip.hash === undefined ? (kind ?? 'altered') : 'inserted')
  setAside(state, run, finding)
  accept(state, next)
}

/** The held lines may be missed later. */
function setAside(state: State, { first, last, count }: Run, finding: DraftFinding): void {
  if (last === null) return
  const reached = count === 1 ? reach(state.tip, last) : unknownBeside(reach(state.tip, last), last)
  state.memory.displaced({ finding, hash: last.hash, reached, ...(first === last ? { line: last } : {}) })
}

/** One finding for all that is held. */
function explain(state: State, { moved, start }: Run, kind: JournalFindingKind): DraftFinding {
  if (moved === null) return state.report(start, kind)
  state.retell(moved, 'reordered')
  return moved
}

/** One line, or what is left of some, stands for what was written there: the numbers of `next` show it. */
function standsFor(state: State, run: Run, next: LinkedLine): boolean {
  const { first, start, count } = run
  const step = stepOf(state.tip, next)
  if (!next.own || step < 0 || (first !== null && (count > 1 || step > 1))) return false
  const finding = explain(state, run, run.kind ?? 'altered')
  if (first === null) {
    accept(state, next, unknownBeside(state.tip, next))
    return true
  }
  if (run.moved === null) {
    state.memory.missing(next.prev, finding, start)
    setAside(state, run, finding)
  }
  accept(state, next, besideOne(state.tip, next))
  return true
}

/**
 * Puts a line in its place in the chain that is known to be as it was written: what is wrong is before it. `false`: it
 * belongs further back.
 */
function put(state: State, line: LinkedLine): boolean {
  const { memory, tip } = state
  if (memory.hasPassed(line)) return false
  const displaced = memory.displacedAs(line.prev)
  if (displaced !== null) {
    state.retell(displaced.finding, 'reordered')
    accept(state, line, furthest(tip, displaced.reached))
    return true
  }
  if (line.prev === tip.hash) {
    putChained(state, line)
    return true
  }
  const branch = memory.branchOf(line)
  if (branch !== null) {
    putBack(state, line, branch)
    return true
  }
  return putBehind(state, line)
}

/** All that stands between the line and the one that it follows has no business there. */
function putBack(state: State, line: LinkedLine, { mark, next }: Branch): void {
  state.withdraw(next, line.place)
  const finding = state.memory.holeAt(next) ?? state.report(next, 'inserted')
  state.retell(finding, 'inserted')
  state.memory.displaced({ finding, hash: state.tip.hash, reached: state.tip })
  accept(state, line, mark)
}

/** The link is good and the number is not: somebody has computed the hashes again. */
function putChained(state: State, line: LinkedLine): void {
  state.report(line.place, stepOf(state.tip, line) < 0 ? 'inserted' : 'deleted')
  accept(state, line)
}

function putBehind(state: State, line: LinkedLine): boolean {
  const { memory, tip } = state
  const step = stepOf(tip, line)
  if (step < 0) return false
  if (step === 0 && tip.place !== null) {
    memory.doubt(state.report(tip.place, 'altered'), line)
    accept(state, line)
    return true
  }
  memory.missing(line.prev, state.report(line.place, 'deleted'), line.place)
  accept(state, line, unknownBeside(tip, line))
  return true
}

function settle(state: State): number {
  const homeless = state.run === null ? 0 : settleRun(state, state.run)
  const displaced = state.memory.displacedBehind(state.tip)
  if (displaced?.line !== undefined) {
    state.retell(displaced.finding, 'reordered')
    accept(state, displaced.line)
  }
  return homeless
}

function settleRun(state: State, run: Run): number {
  state.run = null
  if (run.first !== null && run.count === 1 && run.moved === null) return settleOne(state, run.first)
  const finding = explain(state, run, run.kind ?? 'inserted')
  setAside(state, run, finding)
  return run.count
}

/** Nothing follows that would vouch for the line or against it. */
function settleOne(state: State, line: LinkedLine): number {
  const { tip } = state
  const standsHere =
    line.prev === tip.hash && (stepOf(tip, line) === 0 || (line.sort === 'event' && state.isKnown(tip.seq + 1)))
  const isDenied = line.standing === 'altered' || line.standing === 'signature'
  if (standsHere || (isDenied && stepOf(tip, line) >= 0)) {
    state.report(line.place, 'altered')
    return 1
  }
  if (line.own && put(state, line)) return 0
  state.report(line.place, 'inserted')
  return 1
}
