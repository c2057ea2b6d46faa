// Interleaved rounds: each runs every variant once, in another order. On a shared machine the minimum says most, and the
// ratio of minimums compares best.
export async function interleave(variants, rounds) {
  const times = new Map(Object.keys(variants).map((name) => [name, []]))
  for (let round = 0; round < rounds; round += 1) {
    for (const name of shuffled(Object.keys(variants))) {
      times.get(name).push(await variants[name](round))
    }
  }
  return Object.fromEntries([...times].map(([name, list]) => [name, summary(list)]))
}

export function shuffled(list) {
  return list
    .map((item) => [Math.random(), item])
    .toSorted(([a], [b]) => a - b)
    .map(([, item]) => item)
}

export function summary(list) {
  const sorted = list.toSorted((a, b) => a - b)
  return { min: sorted[0], median: sorted[Math.floor(sorted.length / 2)], max: sorted.at(-1), list }
}

/** As an HTTP parser makes it: a new string a call. A string object that is used again hides the cost of hashing it. */
export function fresh(text) {
  return Buffer.from(text, 'latin1').toString('latin1')
}
