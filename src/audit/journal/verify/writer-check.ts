import { hash } from 'node:crypto'
import type { AuditEvent } from '../../event.ts'
import type { Findings, Place } from './finding.ts'
import type { Holes } from './holes.ts'
import { createLinkCheck, type LinkCheck } from './link-check.ts'
import type { LinkedLine, Standing } from './mark.ts'
import type { Kept, Vouchers } from './vouchers.ts'
import type { WrittenLine } from './written-line.ts'

/** Takes one writer's journal, from its first byte to its last. */
export interface WriterCheck {
  /** The next file, in the order of their numbers. */
  segment(number: number): void
  /** Without newline; `null`: longer than a line can be. Not looked at after the call. */
  line(bytes: Buffer | null): void
  /** What stands at the end of the segment without newline, or the first 32 KiB of it. */
  tail(bytes: Buffer): void
  end(): WriterFigures
}

export interface WriterFigures {
  readonly events: number
  readonly unanchored: number
  readonly tornTail: boolean
}

export interface WriterSettings {
  readonly writer: string
  readonly vouchers: Vouchers
  readonly findings: Findings
  readonly holes: Holes
  readonly read: (bytes: Buffer) => WrittenLine | null
}

/** DICOM's syslog minimum, and the contract of the event. */
export const MAX_LINE_BYTES = 32_768

interface State extends WriterSettings {
  readonly links: LinkCheck
  readonly known: ReadonlyMap<number, Kept>
  segment: number
  line: number
  tail: Buffer | null
  lines: number
  events: number
  /** How many lines the last good checkpoint vouches for. */
  anchored: number
  lastSeq: number
  last: 'other' | 'stopped' | 'closed'
  /** Something stands behind the end, and it was told. */
  added: boolean
  /** One that should be vouched for was not: so is what follows, and says nothing new until something is. */
  distrusted: boolean
  hole: OpenHole | null
}

/** A hole in the files, until it is seen what stands behind it. */
interface OpenHole {
  readonly first: number
  readonly last: number
  readonly next: Place
  prev: string | null | undefined
  seq: number | undefined
}

export function createWriterCheck(settings: WriterSettings): WriterCheck {
  const { writer, vouchers, findings } = settings
  const known = vouchers.keptOf(writer)
  const links = createLinkCheck({
    report: (place, kind) => findings.report(writer, place, kind),
    retell: (finding, kind) => findings.retell(writer, finding, kind),
    withdraw(behind, before) {
      findings.withdraw(writer, behind, before)
      state.distrusted = false
    },
    accept: (line) => accept(state, line),
    isKnown: (seq) => known.has(seq),
  })
  const state: State = {
    ...settings,
    links,
    known,
    segment: 0,
    line: 0,
    tail: null,
    lines: 0,
    events: 0,
    anchored: 0,
    lastSeq: 0,
    last: 'other',
    added: false,
    distrusted: false,
    hole: null,
  }
  return Object.freeze({
    segment(number: number) {
      startSegment(state, number)
    },
    line(bytes: Buffer | null) {
      takeLine(state, bytes)
    },
    tail(bytes: Buffer) {
      state.tail = Buffer.from(bytes)
    },
    end: () => endWriter(state),
  })
}

function startSegment(state: State, number: number): void {
  const { links, segment, line } = state
  if (state.tail !== null) links.broken({ segment, line: line + 1 }, 'truncated')
  state.tail = null
  state.segment = number
  state.line = 0
  if (number <= segment + 1) return
  links.settle()
  links.forget()
  closeHole(state)
  const next = { segment: number, line: 1 }
  state.hole = { first: segment + 1, last: number - 1, next, prev: undefined, seq: undefined }
}

function takeLine(state: State, bytes: Buffer | null): void {
  state.line += 1
  const place = { segment: state.segment, line: state.line }
  const written = bytes === null || bytes.length > MAX_LINE_BYTES ? null : state.read(bytes)
  if (bytes === null || written === null) {
    state.links.broken(place, 'malformed')
    return
  }
  state.lines += 1
  if (written.sort === 'event') state.events += 1
  const { sort, number, prev, event } = written
  state.links.line({
    sort,
    number,
    prev,
    hash: hash('sha256', bytes, 'hex'),
    place,
    own: written.writer === state.writer,
    standing: standingOf(state, written),
    index: state.lines,
    system: event?.kind === 'system' ? event : null,
  })
}

/** What those outside say of it. */
function standingOf({ writer, known, vouchers }: State, { event, number, text, writer: named }: WrittenLine): Standing {
  if (event === null || named !== writer) return 'unknown'
  const kept = known.size === 0 ? undefined : known.get(number)
  if (kept !== undefined && kept.text !== text) return kept.signed === false ? 'signature' : 'altered'
  const signed = event.name === 'audit.checkpoint' ? vouchers.signs(event) : null
  if (signed === false) return 'signature'
  return signed === true || kept !== undefined ? 'good' : 'unknown'
}

/** The line stands in its chain: what it says counts. */
function accept(state: State, line: LinkedLine): void {
  const { sort, number, place, standing, system } = line
  if (sort === 'event') state.lastSeq = number
  if (state.hole !== null) lookBehind(state, state.hole, line)
  if (standing === 'altered' || standing === 'signature') {
    if (!state.distrusted) state.findings.report(state.writer, place, standing)
    state.distrusted = true
  } else if (standing === 'good') state.distrusted = false
  const wasStopped = state.last === 'stopped'
  if (isBehindAll(state, system)) {
    if (!state.added) state.findings.report(state.writer, place, 'inserted')
    state.added = true
    return
  }
  state.last = 'other'
  if (system !== null) acceptSystem(state, line, system)
  if (wasStopped && system?.name === 'audit.checkpoint') state.last = 'closed'
}

/** Nobody adds to a journal that was closed in good order. */
function isBehindAll({ last }: State, system: AuditEvent | null): boolean {
  return last === 'closed' || (last === 'stopped' && system?.name !== 'audit.checkpoint')
}

function acceptSystem(state: State, { standing, place, index }: LinkedLine, { name, retention }: AuditEvent): void {
  const { vouchers, findings, writer, holes } = state
  if (name === 'audit.stopped') state.last = 'stopped'
  if (name === 'audit.checkpoint' && (standing === 'good' || standing === 'unknown')) state.anchored = index
  if (name !== 'audit.retention' || retention === undefined) return
  if (vouchers.signsRetention(retention)) holes.account(retention)
  else findings.report(writer, place, 'signature')
}

function lookBehind(state: State, hole: OpenHole, { place, prev, sort, number }: LinkedLine): void {
  if (place.segment === hole.next.segment && place.line === hole.next.line) hole.prev = prev
  if (sort === 'intent') return
  hole.seq = number
  closeHole(state)
}

function closeHole(state: State): void {
  const { writer, hole, holes } = state
  state.hole = null
  if (hole !== null) holes.add({ writer, ...hole })
}

function endWriter(state: State): WriterFigures {
  const { links, tail, segment, writer, findings } = state
  const place = { segment, line: state.line + 1 }
  const homeless = links.settle()
  closeHole(state)
  const short = reportEnd(state, place, homeless)
  const added = !short && tail !== null && isBehindTheEnd(state.last, tail)
  if (added) findings.report(writer, place, 'malformed')
  return {
    events: state.events,
    unanchored: state.lines - state.anchored,
    tornTail: tail !== null && !short && !added,
  }
}

/** Does somebody know of more? */
function reportEnd(
  { known, lastSeq, writer, segment, holes, findings }: State,
  place: Place,
  homeless: number,
): boolean {
  // A line that cannot be read is reported already, and may be two that have lost the newline between them.
  const beyond = [...known].filter(([seq]) => seq > lastSeq + 2 * homeless)
  const good = beyond.filter(([, { signed }]) => signed !== false).map(([seq]) => seq)
  if (good.length > 0) holes.addEnd({ writer, segment, place, seq: Math.max(...good) })
  else if (beyond.length > 0) findings.report(writer, place, 'signature')
  return beyond.length > 0
}

const CHECKPOINT = /^\{"v":1,"id":"[0-9a-f-]{36}","kind":"system","name":"audit\.checkpoint",/
const CHECKPOINT_START = '{"v":1,"id":"00000000-0000-0000-0000-000000000000","kind":"system","name":"audit.checkpoint",'

/** A writer that was closed writes no more, but for the checkpoint behind `audit.stopped`. */
function isBehindTheEnd(last: State['last'], tail: Buffer): boolean {
  if (last !== 'stopped') return last === 'closed'
  const text = tail.toString('latin1')
  return !CHECKPOINT.test(text + CHECKPOINT_START.slice(text.length))
}
