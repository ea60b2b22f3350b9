// Runs the State Protocol suite against the real binary: untyped streams and bound ones, once for each store.
//
//     node tests/conformance/state.mjs [journal] [memory]

import { readFile } from 'node:fs/promises'

import { Server } from '../clients/server.mjs'
import { counted, run } from './state-protocol/suite/runner.mjs'

const SUITE = new URL('./state-protocol/', import.meta.url)
const JSON_TYPE = { 'content-type': 'application/json' }

async function put(url, method, body) {
  const answer = await fetch(url, { method, headers: JSON_TYPE, body: JSON.stringify(body) })
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status}\n${await answer.text()}`)
}

/** What runs on bound streams, by how they validate. Refused or kept aside is the same to readers. */
const VALIDATIONS = { reject: undefined, quarantine: /^typed: / }

/** Binds everything below a path to the schemas that the suite's typed cases need; resolves with the URL of that path. */
export async function typedSpace(server, validation = 'reject') {
  const schemas = JSON.parse(await readFile(new URL('schema.json', SUITE), 'utf8'))
  const collections = Object.fromEntries(
    Object.entries(schemas).map(([type, schema]) => [type, { type, primaryKey: 'id', schema }]),
  )
  await put(`${server.url}/v1/schemas/state-conformance/versions`, 'POST', { collections })
  const binding = { pattern: `typed-${validation}/**`, subject: 'state-conformance', validation }
  await put(`${server.url}/v1/bindings/state-conformance-${validation}`, 'PUT', binding)
  return `${server.url}/v1/stream/typed-${validation}`
}

async function conformance(store, seed) {
  const server = await Server.start({ store, args: ['--long-poll-ms', '500'] })
  try {
    const results = []
    for (const [validation, only] of Object.entries(VALIDATIONS)) {
      const url = `${server.url}/v1/stream`
      results.push(...(await run({ url, typed: await typedSpace(server, validation), seed, only })).results)
    }
    return results
  } finally {
    await server.remove()
  }
}

async function main(stores) {
  // Not random: a run of the tests says the same twice. Other seeds are for the suite's command line.
  const seed = Number(process.env.KEYFOLD_SEED ?? 1)
  console.log(`seed ${seed}; KEYFOLD_SEED sets another`)
  for (const store of stores) {
    const results = await conformance(store, seed)
    const { MUST, SHOULD, MAY } = counted(results)
    const text = Object.entries({ MUST, SHOULD, MAY }).map(
      ([level, { passed, failed, skipped }]) => `${level} ${passed} passed, ${failed} failed, ${skipped} skipped`,
    )
    console.log(`${store}: ${text.join('; ')}`)
    for (const { outcome, space, group, title, reason } of results) {
      if (outcome === 'failed')
        console.log(`  failed: ${space}: ${group}: ${title}\n${reason.replaceAll(/^/gm, '    ')}`)
    }
    const whole = results.filter(({ space, outcome }) => space === 'typed' && outcome === 'passed').length > 0
    if (!whole) console.log('  the cases for validated streams did not run')
    if (!whole || results.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  await main(process.argv.length > 2 ? process.argv.slice(2) : ['journal', 'memory'])
}
