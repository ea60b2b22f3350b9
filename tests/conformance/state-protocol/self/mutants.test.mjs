// The suite against servers that are broken on purpose: it must fail each, and pass what is not broken.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { Server } from '../../../clients/server.mjs'
import { typedSpace } from '../../state.mjs'
import { run } from '../suite/runner.mjs'
import { MUTANTS, TYPED_MUTANTS } from './mutants.mjs'
import { startProxy } from './proxy.mjs'

let server
let typed

beforeAll(async () => {
  server = await Server.start({ store: 'memory', args: ['--long-poll-ms', '500'] })
  typed = new URL(await typedSpace(server)).pathname
})

afterAll(() => server?.remove())

/** What fails first in a run through a proxy. */
async function failures(mutant, { typed: path, ...options } = {}) {
  const proxy = await startProxy(server.url, mutant)
  try {
    const given = { url: `${proxy.url}/v1/stream`, typed: path && `${proxy.url}${path}`, seed: 1, bail: true }
    const { results } = await run({ ...given, timeoutMs: 2_500, ...options })
    return { failed: results.filter(({ outcome }) => outcome === 'failed'), results }
  } finally {
    await proxy.close()
  }
}

it('a proxy that changes nothing is passed', async () => {
  const { failed, results } = await failures({}, { timeoutMs: 20_000 })
  expect(failed).toEqual([])
  expect(results.length).toBeGreaterThan(150)
})

describe('fails a server that', () => {
  it.concurrent.each(Object.keys(MUTANTS))('%s', async (name) => {
    const { level = 'MUST', ...mutant } = MUTANTS[name]
    const { failed } = await failures(mutant)
    expect(failed.map((one) => one.level)).toEqual([level])
  })
})

describe('on validated streams, fails a server that', () => {
  it.concurrent.each(Object.keys(TYPED_MUTANTS))('%s', async (name) => {
    const { failed } = await failures(TYPED_MUTANTS[name], { typed, only: /^typed/ })
    expect(failed).toHaveLength(1)
  })
})

it('says so where a server that is said to validate does not', async () => {
  const url = `${server.url}/v1/stream`
  const { results } = await run({ url, typed: url, seed: 1, only: /^typed/ })
  expect(results.length).toBeGreaterThan(50)
  for (const { outcome, reason } of results)
    expect({ outcome, reason }).toMatchObject({
      outcome: 'skipped',
      reason: expect.stringContaining('does not validate'),
    })
})
