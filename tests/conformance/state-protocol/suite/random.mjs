// Chance that can be repeated: everything random in the suite comes from one printed seed.

/** A generator of numbers in [0, 1) (mulberry32), with what the cases draw from it. */
export class Random {
  #state

  constructor(seed) {
    this.#state = seed | 0
  }

  next() {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number of `from` to `to`, both included. */
  integer(from, to) {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  chance(probability) {
    return this.next() < probability
  }

  pick(list) {
    return list[this.integer(0, list.length - 1)]
  }
}

/** A seed of its own for each case, so that one case alone draws what it drew in the whole run. */
export function seedOf(seed, text) {
  let hash = seed | 0
  for (const char of text) hash = (Math.imul(hash ^ char.codePointAt(0), 0x01000193) + 0x9e3779b9) | 0
  return hash
}
