// What the parent of `prove-rotation.mjs` knows of the keys, and how it judges an answer by that.

/**
 * A key: `validUntil` is null until its rotation is known. Its successor is valid from the moment when the rotator has said
 * so, which is when the parent first knows its text.
 */
export function newKey({ key, id }) {
  return { key, id, validUntil: null, graceSeconds: null, rotatingSince: null }
}

/** How long the feed may take to bring the end of a key with no grace to another process. */
export const REACH_MS = 1000

/**
 * What the answer to a call must have been. `sentAt` and `answeredAt` are epoch milliseconds of the one clock of this
 * machine. `either`: the deadline fell between both, or the key had no grace and the change may still be on its way.
 */
export function expected({ validUntil, graceSeconds, rotatingSince }, sentAt, answeredAt) {
  if (validUntil === null && rotatingSince === null) return 'pass'
  // A rotation that is under way may or may not be done: its deadline is no earlier than this.
  if (validUntil === null) return answeredAt < rotatingSince + graceSeconds * 1000 ? 'pass' : 'either'
  // With no grace the deadline is the moment of the rotation itself, which calls may have overtaken.
  if (graceSeconds === 0) return sentAt >= validUntil + REACH_MS ? 'refusal' : 'either'
  if (answeredAt < validUntil) return 'pass'
  return sentAt >= validUntil ? 'refusal' : 'either'
}

/** Chains of keys, each the successor of the one before; which of them a call takes. */
export function createChains(first) {
  const chains = first.map((key) => [key])
  /** The latest that were replaced: those are at their deadlines. */
  const lately = []
  const KEPT = 40

  const oneOf = (list) => list[Math.floor(Math.random() * list.length)]
  return {
    chains,
    all: () => chains.flat(),
    /** One whose latest key is not being rotated. */
    takeForRotation: () => {
      const free = chains.filter((chain) => chain.at(-1).rotatingSince === null)
      return oneOf(free)
    },
    rotated: (chain, fresh) => {
      lately.push(chain.at(-1))
      if (lately.length > KEPT) lately.shift()
      chain.push(fresh)
    },
    /** Half of the calls by the present keys, a third by those just replaced, the rest by any that there ever was. */
    forCall: () => {
      const dice = Math.random()
      if (dice < 0.5 || lately.length === 0) return oneOf(chains).at(-1)
      return dice < 0.85 ? oneOf(lately) : oneOf(oneOf(chains))
    },
  }
}
