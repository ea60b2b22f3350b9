// Runs the public server suite and the State Protocol suite against Keyfold and its peers, and makes a table of it.
//
//     node tests/conformance/peers.mjs [--dir DIR] [--write] [NAME …]
//
// Peers are installed below DIR (a folder in the system's temporary one unless given), nothing globally; NAME picks those
// whose name contains it. `--write` puts the table into docs/conformance.md. Needs npm, and cargo for the crates.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { SERVERS, finished } from './peers/servers.mjs'
import { counted, run } from './state-protocol/suite/runner.mjs'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const DOCUMENT = path.join(HERE, '../../docs/conformance.md')
const SEED = 1
const SUBSCRIPTIONS = /^Reserved subscription APIs$/
/** Beyond so many failed cases of one group, the group is named instead. */
const NAMED_MAX = 5

const { values: options, positionals: picked } = parseArgs({
  allowPositionals: true,
  options: {
    dir: { type: 'string', default: path.join(tmpdir(), 'keyfold-peers') },
    write: { type: 'boolean', default: false },
  },
})

/** The public suite: its cases, with the group of each. */
async function serverSuite(url, longPollMs) {
  const reports = await mkdtemp(path.join(tmpdir(), 'keyfold-peers-report-'))
  const report = path.join(reports, 'report.json')
  const env = { ...process.env, PEER_URL: url, PEER_LONG_POLL_MS: String(longPollMs) }
  const vitest = path.join(HERE, 'node_modules/vitest/vitest.mjs')
  const args = [vitest, 'run', '--config', 'peers/vitest.config.mjs', '--reporter=json', `--outputFile=${report}`]
  try {
    // A failed case fails the run; the report says which.
    await finished(process.execPath, args, { cwd: HERE, env }).catch(() => {})
    const { testResults } = JSON.parse(await readFile(report, 'utf8'))
    return testResults
      .flatMap(({ assertionResults }) => assertionResults)
      .map(({ ancestorTitles, title, status }) => ({
        group: ancestorTitles[0],
        title,
        passed: status === 'passed',
      }))
  } finally {
    await rm(reports, { recursive: true, force: true })
  }
}

async function measured(server) {
  const version = await server.version()
  console.error(`${server.name} ${version} (${server.store})`)
  const { url, typed, stop } = await server.start(options.dir)
  try {
    const cases = await serverSuite(url, server.longPollMs)
    const { results } = await run({ url: `${url}/v1/stream`, typed, seed: SEED, timeoutMs: 15_000 })
    return { ...server, version, cases, results }
  } finally {
    await stop()
  }
}

const ratio = (cases) => `${cases.filter(({ passed }) => passed).length} of ${cases.length}`

function row({ name, version, store, cases, results }) {
  const core = cases.filter(({ group }) => !SUBSCRIPTIONS.test(group))
  const subscriptions = cases.filter(({ group }) => SUBSCRIPTIONS.test(group))
  const level = (space, wanted) => {
    const { passed, failed } = counted(results.filter((one) => one.space === space))[wanted]
    return passed + failed === 0 ? 'none' : `${passed} of ${passed + failed}`
  }
  const cells = [
    name,
    version,
    store,
    ratio(core),
    ratio(subscriptions),
    level('plain', 'MUST'),
    level('plain', 'SHOULD'),
  ]
  return `| ${[...cells, level('typed', 'MUST'), level('typed', 'SHOULD')].join(' | ')} |`
}

/** What failed, in short: cases by name, or the group where many of it did. */
function failures({ name, store, cases, results }) {
  const groups = grouped(cases)
  const lines = []
  for (const [group, list] of groups) {
    const failed = list.filter(({ passed }) => !passed)
    if (failed.length > NAMED_MAX) lines.push(`${group}: ${failed.length} of ${list.length}`)
    else lines.push(...failed.map(({ title }) => `${group}: ${title}`))
  }
  for (const { outcome, level, space, group, title } of results) {
    if (outcome === 'failed') lines.push(`State Protocol, ${level}, ${space}: ${group}: ${title}`)
  }
  return lines.length === 0 ? '' : `\n${name}, ${store}:\n\n${lines.map((line) => `- ${line}`).join('\n')}\n`
}

function grouped(cases) {
  const groups = new Map()
  for (const one of cases) groups.set(one.group, [...(groups.get(one.group) ?? []), one])
  return groups
}

async function document(measurements) {
  const suite = JSON.parse(
    await readFile(path.join(HERE, 'node_modules/@durable-streams/server-conformance-tests/package.json'), 'utf8'),
  )
  const failed = measurements.map(failures).join('')
  return `
Run on ${new Date().toISOString().slice(0, 10)} with \`${suite.name}\` ${suite.version} and seed ${SEED} of the State Protocol suite.

| server | version | store | server suite | subscriptions | State Protocol: MUST | SHOULD | validated streams: MUST | SHOULD |
|---|---|---|---|---|---|---|---|---|
${measurements.map(row).join('\n')}

What failed, by case, or by group where many cases of it did:
${failed === '' ? '\nnothing.\n' : failed}`
}

const servers = SERVERS.filter(
  ({ name }) => picked.length === 0 || picked.some((part) => name.toLowerCase().includes(part.toLowerCase())),
)
const measurements = []
for (const server of servers) measurements.push(await measured(server))
const text = await document(measurements)
console.log(text)
if (options.write) {
  const whole = await readFile(DOCUMENT, 'utf8')
  const [before, rest] = whole.split('<!-- generated -->\n')
  await writeFile(DOCUMENT, `${before}<!-- generated -->\n${text}\n<!-- end -->${rest.split('<!-- end -->')[1]}`)
}
