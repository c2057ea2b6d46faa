// The 24 hours to the millisecond: the servers' clocks stand still at the last one, then at the one after it.
const MOST_KEYS = 100
const DAY_MS = 86_400_000

/** `keys` were rotated with the documented grace. Returns lines to print. */
export async function proveDeadlines({ servers, ports, keys, caller, findings }) {
  const chosen = keys.slice(-MOST_KEYS)
  if (chosen.length === 0) findings.violation('no key was rotated with 24 hours of grace')
  const counts = { 'from the cache': [0, 0], 'asked anew': [0, 0] }

  const clocks = async (clock) => {
    const answers = await Promise.all(servers.map(({ ask }) => ask({ clock }, 'moved')))
    return answers.map(({ finds }) => finds)
  }
  const calls = (key) => Promise.all(ports.map(async (port) => (await caller.call(port, key)).status))
  /** Statuses and look-ups a server, with the clock standing at `at`. */
  const at = async (key, clock) => {
    const before = await clocks(clock)
    const statuses = await calls(key)
    const after = await clocks(clock)
    return { statuses, finds: after.map((count, each) => count - before[each]) }
  }
  const judge = (name, { statuses, finds }, { status, asked, column }) => {
    const isRight = statuses.every((each) => each === status) && finds.every((each) => each === asked)
    if (isRight) counts[name][column] += statuses.length
    else findings.violation(`24 h ${column === 0 ? '− 1 ms' : ''}, ${name}`, { statuses, finds, wanted: status })
  }

  let monotonicOffsetMs = 0
  for (const { key, validUntil } of chosen) {
    // By the monotonic clock no time goes by: the entry stays in its cache time, and only the deadline can end it.
    await at(key, { at: validUntil - 1, monotonicOffsetMs })
    judge('from the cache', await at(key, { at: validUntil - 1 }), { status: 200, asked: 0, column: 0 })
    judge('from the cache', await at(key, { at: validUntil }), { status: 401, asked: 0, column: 1 })
    // A day further, the cache time is long over.
    monotonicOffsetMs += DAY_MS
    const last = await at(key, { at: validUntil - 1, monotonicOffsetMs })
    judge('asked anew', last, { status: 200, asked: 1, column: 0 })
    monotonicOffsetMs += DAY_MS
    const past = await at(key, { at: validUntil, monotonicOffsetMs })
    judge('asked anew', past, { status: 401, asked: 1, column: 1 })
  }
  await clocks({ at: null })
  return [
    `  24 h deadline, ${chosen.length} keys on ${ports.length} servers, clock standing still:`,
    ...Object.entries(counts).map(
      ([name, [before, after]]) => `    ${name}: 24 h − 1 ms passed ${before}, 24 h refused ${after}`,
    ),
  ]
}
