// How a group of cases is written down.

/**
 * Collects the cases of a group. `test(section, level, title, run, {plain, typedOnly})`: the section of STATE-PROTOCOL.md
 * (or, where named, of PROTOCOL.md) that it tests; MUST, SHOULD or MAY; what holds; a function of a `Case`. `plain` says
 * why the case has no meaning on a validated stream, `typedOnly` that it has one only there.
 */
export function group(name, write) {
  const cases = []
  write((section, level, title, run, about = {}) => cases.push({ group: name, section, level, title, run, ...about }))
  return cases
}
