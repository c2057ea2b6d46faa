import type { AuditEvent } from '../../audit/event.ts'
import { cell, cut, rightCell } from './cells.ts'
import { printable } from '../text-table.ts'

/** Columns of a row: with a gap of two they fill 80. */
const TIME = 8
const WHO = 24
const WHAT = 20
const PATIENTS = 3
const RESULT = 17
const GAP = '  '

export const HEADING: string = row(['TIME', 'WHO', 'WHAT', 'PAT', 'RESULT'])

/** One line an event; a line with the date stands before it where that is another than before. All in UTC. */
export function createRows(): (event: AuditEvent) => string {
  let day = ''
  return (event) => {
    const [date = '', time = ''] = new Date(event.time).toISOString().split('T')
    const line = row([time.slice(0, 8), whoOf(event), whatOf(event), patientsOf(event), resultOf(event)])
    if (date === day) return line
    day = date
    return `${date}\n${line}`
  }
}

function row([time, who, what, patients, result]: readonly [string, string, string, string, string]): string {
  return [
    cell(time, TIME),
    cell(who, WHO),
    cell(what, WHAT),
    rightCell(patients, PATIENTS),
    cut(printable(result), RESULT),
  ].join(GAP)
}

/** The key, else the subject of a token, else the person; of the recorder's own events the process that wrote them. */
function whoOf({ kind, actor, writer }: AuditEvent): string {
  if (kind === 'system') return writer
  return actor.keyId ?? actor.sub ?? actor.by ?? actor.org ?? '-'
}

function whatOf({ name, http, target, operation }: AuditEvent): string {
  if (http !== null && name === 'request') return `${http.method} ${http.route}`
  if (target !== null) return `${name} ${target.keyId}`
  return operation === null ? name : `${name} ${operation}`
}

/** `?`: nobody has said whose data it was. */
function patientsOf({ phi }: AuditEvent): string {
  if (phi === null) return ''
  if (phi.attribution === 'none') return '?'
  const count = phi.patientCount ?? phi.patients.length
  return count < 1000 ? String(count) : count < 100_000 ? `${Math.floor(count / 1000)}k` : '99k'
}

function resultOf({ outcome, reason, count, phi, part }: AuditEvent): string {
  const many = count === 1 ? '' : `${count} x `
  const result = reason ?? outcome
  if (part !== null) return `+ ${result}`
  return `${many}${phi?.bulk === true ? 'bulk, ' : ''}${result}`
}
