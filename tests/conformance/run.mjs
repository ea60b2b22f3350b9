// Runs the public Durable Streams server suite against the real binary, once for each store.
//
//     node tests/conformance/run.mjs [journal] [memory]

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { Server } from '../clients/server.mjs'
import { check } from './check.mjs'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const LONG_POLL_MS = '500'

/** Runs a program here; resolves with its exit code and what it printed. */
function run(program, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: HERE, env: { ...process.env, ...env } })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, output }))
  })
}

async function conformance(store) {
  const server = await Server.start({ store, args: ['--long-poll-ms', LONG_POLL_MS, '--webhook-allow-localhost'] })
  const reports = await mkdtemp(path.join(tmpdir(), 'keyfold-conformance-'))
  const report = path.join(reports, 'report.json')
  try {
    const vitest = path.join(HERE, 'node_modules', 'vitest', 'vitest.mjs')
    const args = [vitest, 'run', '--reporter=json', `--outputFile=${report}`]
    const { code, output } = await run(process.execPath, args, {
      KEYFOLD_URL: server.url,
      KEYFOLD_LONG_POLL_MS: LONG_POLL_MS,
    })
    if (!existsSync(report)) throw new Error(`the suite wrote no report (exit code ${code})\n${output}`)
    const counted = await check(report)
    if (code !== 0 && counted.faults.length === 0) counted.faults.push(`the suite ended with ${code}\n${output}`)
    return counted
  } finally {
    await rm(reports, { recursive: true, force: true })
    await server.remove()
  }
}

if (!existsSync(path.join(HERE, 'node_modules'))) {
  const { code, output } = await run('npm', ['ci', '--no-audit', '--no-fund'])
  if (code !== 0) throw new Error(`npm ci failed\n${output}`)
}
const stores = process.argv.length > 2 ? process.argv.slice(2) : ['journal', 'memory']
const total = { passed: 0, failed: 0, skipped: 0 }
for (const store of stores) {
  const { passed, failed, skipped, faults } = await conformance(store)
  console.log(`${store}: ${passed} passed, ${failed} failed, ${skipped} skipped`)
  for (const fault of faults) console.log(`  ${fault}`)
  if (faults.length > 0) process.exitCode = 1
  total.passed += passed
  total.failed += failed
  total.skipped += skipped
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
