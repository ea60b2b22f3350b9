// The command line of the suite: `node run.mjs [options] URL`. `--help` says the rest.

import { parseArgs } from 'node:util'

import { counted, run } from './suite/runner.mjs'

const HELP = `Runs what the Durable Streams State Protocol asks of a server against a server.

  node run.mjs [options] URL          URL: where streams are made, such as http://127.0.0.1:4437/v1/stream

  --typed [=URL]    also the cases for streams that the server validates, made below that URL (or the same one);
                    the schema they need is schema.json
  --token TOKEN     sent as a bearer token
  --header 'A: b'   sent with every request; may be repeated
  --seed NUMBER     what the random cases draw from; printed, and new in each run unless given
  --only PATTERN    only cases whose name matches: 'space: group: title', as printed
  --timeout-ms N    how long a case may take (30000)
  --bail            stops at the first failure
  --strict          a failed SHOULD or MAY fails the run as well
  --json            prints one JSON document instead of lines

The exit code is 0 where every MUST that ran has passed, 1 where one failed, and 2 where the suite could not run.`

function options() {
  // `--typed` alone takes the URL of the run, which parseArgs cannot say.
  const args = process.argv.slice(2).map((one) => (one === '--typed' ? '--typed=' : one))
  const { values, positionals } = parsed({
    args,
    allowPositionals: true,
    options: {
      typed: { type: 'string' },
      token: { type: 'string' },
      header: { type: 'string', multiple: true, default: [] },
      seed: { type: 'string' },
      only: { type: 'string', default: '' },
      'timeout-ms': { type: 'string', default: '30000' },
      bail: { type: 'boolean', default: false },
      strict: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help || positionals.length !== 1) {
    console.log(HELP)
    process.exit(values.help ? 0 : 2)
  }
  const headers = Object.fromEntries(
    values.header.map((line) => /^([^:]+):\s*(.*)$/.exec(line)?.slice(1) ?? fail(`--header ${line}`)),
  )
  if (values.token !== undefined) headers.authorization = `Bearer ${values.token}`
  return {
    url: positionals[0],
    typed: values.typed === '' ? positionals[0] : values.typed,
    headers,
    seed: number(values.seed ?? String(Date.now() % 2 ** 31), '--seed'),
    only: new RegExp(values.only),
    timeoutMs: number(values['timeout-ms'], '--timeout-ms'),
    bail: values.bail,
    strict: values.strict,
    json: values.json,
  }
}

function parsed(config) {
  try {
    return parseArgs(config)
  } catch (fault) {
    return fail(fault.message)
  }
}

function number(text, name) {
  return /^\d{1,10}$/.test(text) ? Number(text) : fail(`${name} ${text}`)
}

function fail(what) {
  console.error(`cannot understand the arguments: ${what}; --help says what can be given`)
  process.exit(2)
}

/** Nothing can be said of a server that does not answer. */
async function reachable(url, headers) {
  await fetch(url, { headers, signal: AbortSignal.timeout(10_000) })
    .then((answer) => answer.arrayBuffer())
    .catch((fault) => {
      console.error(`${url} cannot be reached: ${fault.cause?.message ?? fault.message}`)
      process.exit(2)
    })
}

const SIGNS = { passed: 'ok     ', failed: 'FAILED ', skipped: 'skipped' }

function line({ space, group, section, level, title, outcome, reason, ms }) {
  const first = `${SIGNS[outcome]} ${level.padEnd(6)} ${space}: ${group}: ${title} [${section}] ${ms} ms`
  return reason === undefined ? first : `${first}\n${reason.replaceAll(/^/gm, '          ')}`
}

const { strict, json, ...given } = options()
await reachable(given.url, given.headers)
if (!json) console.log(`seed ${given.seed}: --seed ${given.seed} draws the same again\n`)
const { results } = await run({ ...given, onResult: json ? undefined : (result) => console.log(line(result)) })
const counts = counted(results)
const failed = strict ? results.some(({ outcome }) => outcome === 'failed') : counts.MUST.failed > 0
if (json) {
  console.log(
    JSON.stringify({ url: given.url, typed: given.typed ?? null, seed: given.seed, counts, results }, null, 2),
  )
} else {
  console.log()
  for (const [level, { passed, failed, skipped }] of Object.entries(counts)) {
    console.log(`${level.padEnd(6)} ${passed} passed, ${failed} failed, ${skipped} skipped`)
  }
  if (given.typed === undefined) console.log('\nskipped: the cases for streams that are validated; --typed runs them')
  if (results.length === 0) console.log('\nno case has such a name')
}
process.exitCode = failed || results.length === 0 ? 1 : 0
