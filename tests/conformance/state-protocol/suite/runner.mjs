// Runs the cases against a server and says what became of each.

import { setTimeout as sleep } from 'node:timers/promises'

import { CASES } from '../cases/index.mjs'
import { Case, Skipped } from './case.mjs'
import { seedOf } from './random.mjs'

const DETECTION = { type: 'user' }

/**
 * Runs the suite. `options`: `url` (streams are made below it), `typed` (the same for streams that the server checks),
 * `headers`, `seed`, `only` (a pattern of names), `timeoutMs`, `bail` (stop at the first failure), `onResult`.
 *
 * Resolves with `{seed, results}`; a result is `{group, space, section, level, title, outcome, reason?, ms}`, its outcome
 * `passed`, `failed` or `skipped`.
 */
export async function run({
  url,
  typed,
  headers = {},
  seed,
  only = /^/,
  timeoutMs = 30_000,
  bail = false,
  onResult = () => {},
}) {
  const runId = `${Date.now().toString(36)}${Math.floor(Math.random() * 1e6).toString(36)}`
  const spaces = [{ name: 'plain', url: trimmed(url), headers, run: runId, typed: false }]
  if (typed !== undefined) spaces.push({ name: 'typed', url: trimmed(typed), headers, run: `${runId}t`, typed: true })
  const results = []
  for (const space of spaces) {
    const why = space.typed ? await unvalidated(space, timeoutMs) : undefined
    for (const [number, one] of CASES.entries()) {
      if (!appliesTo(one, space) || !only.test(nameOf(space, one))) continue
      const skip = why ?? (space.typed ? one.plain : undefined)
      const result = { ...described(space, one), ...(await outcome(one, space, number, seed, timeoutMs, skip)) }
      results.push(result)
      onResult(result)
      if (bail && result.outcome === 'failed') return { seed, results }
    }
  }
  return { seed, results }
}

const trimmed = (url) => url.replace(/\/+$/, '')
const nameOf = (space, { group, title }) => `${space.name}: ${group}: ${title}`
const described = (space, { group, section, level, title }) => ({ space: space.name, group, section, level, title })
/** Cases about validation have no meaning where nothing is said to be validated. */
const appliesTo = (one, space) => space.typed || !one.typedOnly

/** Why the cases on checked streams cannot run, if they cannot: the server takes and shows what no schema would. */
async function unvalidated(space, timeoutMs) {
  const probe = new Case(space, 'probe', 0, AbortSignal.timeout(timeoutMs))
  try {
    const shown = await probe.judged(DETECTION)
    return shown === 'delivered'
      ? `${space.url} does not validate: it delivered ${JSON.stringify(DETECTION)}`
      : undefined
  } catch (fault) {
    return `${space.url} cannot be used: ${fault.message.split('\n')[0]}`
  } finally {
    await probe.clean(AbortSignal.timeout(timeoutMs))
  }
}

async function outcome(one, space, number, seed, timeoutMs, skip) {
  if (skip !== undefined) return { outcome: 'skipped', reason: skip, ms: 0 }
  const abort = new AbortController()
  const given = new Case(space, number, seedOf(seed, one.title), abort.signal)
  const began = performance.now()
  const ms = () => Math.round(performance.now() - began)
  const late = setTimeout(() => abort.abort(new Error(`not done after ${timeoutMs} ms`)), timeoutMs)
  try {
    // A case that waits for something else than its requests must end as well.
    const overdue = sleep(timeoutMs + 1_000, undefined, { ref: false }).then(() => {
      throw new Error(`not done after ${timeoutMs} ms`)
    })
    await Promise.race([one.run(given), overdue])
    return { outcome: 'passed', ms: ms() }
  } catch (fault) {
    if (fault instanceof Skipped) return { outcome: 'skipped', reason: fault.message, ms: ms() }
    return { outcome: 'failed', reason: describe(fault), ms: ms() }
  } finally {
    clearTimeout(late)
    abort.abort()
    await given.clean(AbortSignal.timeout(timeoutMs))
  }
}

function describe(fault) {
  const cause = fault.cause instanceof Error ? ` (${fault.cause.message})` : ''
  const lines = `${fault.message}${cause}`.split('\n')
  return lines.length > 12 ? [...lines.slice(0, 12), '…'].join('\n') : lines.join('\n')
}

/** How many passed, failed and were skipped, by level. */
export function counted(results) {
  const count = (level, outcome) => results.filter((one) => one.level === level && one.outcome === outcome).length
  const of = (level) => ({
    passed: count(level, 'passed'),
    failed: count(level, 'failed'),
    skipped: count(level, 'skipped'),
  })
  return { MUST: of('MUST'), SHOULD: of('SHOULD'), MAY: of('MAY') }
}
