// The suite's command line: what it prints, what it sends, and how it ends.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, expect, it } from 'vitest'

import { Server } from '../../../clients/server.mjs'
import { MUTANTS } from './mutants.mjs'
import { startProxy } from './proxy.mjs'

const RUN = fileURLToPath(new URL('../run.mjs', import.meta.url))
const TOKEN = 'a-secret'

let server

beforeAll(async () => {
  server = await Server.start({ store: 'memory', args: ['--long-poll-ms', '500', '--token', TOKEN] })
})

afterAll(() => server?.remove())

/** Runs the command; resolves with its exit code and what it printed. */
function command(...args) {
  const child = spawn(process.execPath, [RUN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const printed = { out: '', err: '' }
  child.stdout.on('data', (chunk) => (printed.out += chunk))
  child.stderr.on('data', (chunk) => (printed.err += chunk))
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...printed })))
}

const url = () => `${server.url}/v1/stream`

it('ends with 0 where every MUST passed, and has said what ran', async () => {
  const { code, out } = await command('--token', TOKEN, '--seed', '7', '--only', 'keys|values', url())
  expect(code).toBe(0)
  expect(out).toContain('--seed 7')
  expect(out).toMatch(/^ok +MUST +plain: keys: .+ \[5\.1\] \d+ ms$/m)
  expect(out).toMatch(/^MUST +\d\d passed, 0 failed, 0 skipped$/m)
  expect(out).toContain('--typed runs them')
})

it('ends with 1 where a MUST failed: here each, since no token is sent', async () => {
  const { code, out } = await command('--only', 'changes', url())
  expect(code).toBe(1)
  expect(out).toMatch(/^FAILED +MUST/m)
  expect(out).not.toMatch(/^ok/m)
})

it('takes headers', async () => {
  const { code } = await command('--header', `Authorization: Bearer ${TOKEN}`, '--only', 'changes', url())
  expect(code).toBe(0)
})

it('prints one JSON document', async () => {
  const { out } = await command('--token', TOKEN, '--json', '--seed', '3', '--only', 'closing', url())
  const { seed, counts, results } = JSON.parse(out)
  expect(seed).toBe(3)
  expect(counts.MUST).toEqual({ passed: results.length, failed: 0, skipped: 0 })
  expect(results[0]).toMatchObject({ space: 'plain', group: 'closing', level: 'MUST', outcome: 'passed' })
})

it('lets a failed SHOULD pass, unless it is strict', async () => {
  const { level: _, ...mutant } = MUTANTS['sorts members']
  const proxy = await startProxy(server.url, mutant)
  const args = ['--token', TOKEN, '--only', 'keep their order', `${proxy.url}/v1/stream`]
  expect((await command(...args)).code).toBe(0)
  expect((await command('--strict', ...args)).code).toBe(1)
  await proxy.close()
})

it('says why it skips validated streams, one by one', async () => {
  const { code, out } = await command('--token', TOKEN, '--typed', '--only', '^typed: validation', url())
  expect(code).toBe(0)
  expect(out).toMatch(/^skipped .*\n +http:.* does not validate/m)
})

it('ends with 2 where it cannot run', async () => {
  expect((await command('http://127.0.0.1:1/v1/stream')).code).toBe(2)
  expect((await command()).code).toBe(2)
  expect((await command('--seed', 'x', url())).code).toBe(2)
  expect((await command('--unknown', url())).code).toBe(2)
})
