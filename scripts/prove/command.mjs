// What the long-running proofs share: flags, figures, findings.

/** Flags `--name=value` and `--name` beside their defaults; the type of a default says how a value is read. */
export function readFlags(defaults, args = process.argv.slice(2)) {
  const flags = { ...defaults }
  for (const arg of args) {
    const [, name, , text] = /^--([a-z]+)(=(.+))?$/.exec(arg) ?? []
    if (name === undefined || !Object.hasOwn(defaults, name)) usage(defaults, arg)
    flags[name] = valueOf(defaults, name, text)
  }
  return flags
}

function valueOf(defaults, name, text) {
  const kind = typeof defaults[name]
  if (kind === 'boolean' && text === undefined) return true
  if (kind === 'string' && text !== undefined) return text
  const value = Number(text ?? Number.NaN)
  if (kind === 'number' && Number.isInteger(value) && value > 0) return value
  return usage(defaults, `--${name}${text === undefined ? '' : `=${text}`}`)
}

function usage(defaults, arg) {
  const known = Object.entries(defaults).map(([name, value]) => `--${name}${value === false ? '' : `=${value}`}`)
  console.error(`Not understood: ${arg}. Flags and their defaults: ${known.join(' ')}`)
  process.exit(2)
}

export function sorted(values) {
  return Float64Array.from(values).toSorted()
}

/** Of values in ascending order; NaN where there are none. */
export function quantile(values, share) {
  return values.length === 0 ? Number.NaN : values[Math.min(values.length - 1, Math.floor(share * values.length))]
}

/** One line a bin: its upper bound, its count, a bar. */
export function histogram(values, bounds) {
  const ends = [...bounds, Number.POSITIVE_INFINITY]
  const counts = ends.map(() => 0)
  for (const value of values) counts[ends.findIndex((end) => value <= end)] += 1
  const most = Math.max(1, ...counts)
  return counts.flatMap((count, at) => {
    const label = at < bounds.length ? `≤ ${bounds[at]}` : `> ${bounds.at(-1)}`
    const bar = '█'.repeat(Math.ceil((count / most) * 40))
    return at === bounds.length && count === 0 ? [] : [`${label.padStart(8)} ms ${String(count).padStart(5)} ${bar}`]
  })
}

/** Rows of a Markdown table; numbers stand right. */
export function markdown(head, rows) {
  const right = head.map((_, at) => at > 0)
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), line(right.map((each) => (each ? '---:' : '---'))), ...rows.map(line)]
}

/** Everything that must not happen: counted by kind, the first of each shown. */
export function createFindings(shown = 5) {
  const kinds = new Map()
  return Object.freeze({
    violation: (kind, detail = '') => {
      const details = kinds.get(kind) ?? { count: 0, first: [] }
      details.count += 1
      if (details.first.length < shown) details.first.push(detail)
      kinds.set(kind, details)
    },
    count: () => [...kinds.values()].reduce((sum, { count }) => sum + count, 0),
    lines: () => {
      const lines = []
      for (const [kind, { count, first }] of kinds) {
        lines.push(`VIOLATION ${kind}: ${count} ×`)
        for (const detail of first) lines.push(`    ${typeof detail === 'string' ? detail : JSON.stringify(detail)}`)
      }
      return lines
    },
  })
}

/** Prints the findings and the last line; a violation makes the command fail. */
export function conclude(findings, name) {
  for (const line of findings.lines()) console.log(line)
  const count = findings.count()
  console.log(`${name}: ${count === 0 ? 'no violations' : `${count} VIOLATIONS`}`)
  process.exitCode = count === 0 ? 0 : 1
}

/** Milliseconds that all processes of this machine share. */
export function machineMs() {
  return Number(process.hrtime.bigint()) / 1e6
}

const TRIES = 5

/**
 * A store waits on a lock for 100 ms, and then says so and that nothing was done: whoever wanted the change asks again.
 * `onAgain` is called for each further time.
 */
export async function pastLocks(change, onAgain) {
  for (let count = 1; ; count += 1) {
    try {
      return await change()
    } catch (error) {
      if (count === TRIES || !/\bheld (?:the|its) lock\b/.test(error.message)) throw error
      onAgain()
    }
  }
}
