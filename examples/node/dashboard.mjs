// A dashboard of a worker fleet: live tables and a live count, from the published StreamDB, unmodified.
//
// It binds a stream of its own, writes to it as the workers would, and checks what the dashboard shows against what the
// server says. Start a server first (`keyfold demo` or `keyfold serve`); KEYFOLD_URL says where it is.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'

import { createStateSchema } from '@durable-streams/state'
import { createStreamDB } from '@durable-streams/state/db'
import { count, createLiveQueryCollection } from '@tanstack/db'

const SERVER = process.env.KEYFOLD_URL ?? 'http://127.0.0.1:4437'
const STREAM = `examples/dashboard/${crypto.randomUUID()}`

/** Sends JSON; the server explains a refusal in words. */
async function send(method, path, body) {
  const answer = await fetch(`${SERVER}${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}

async function until(what, holds) {
  const end = Date.now() + 10_000
  while (!holds()) {
    if (Date.now() > end) throw new Error(`${what}: not within 10 s`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

// 1. What the entities look like is registered once; every write is held to it from then on.
const document = JSON.parse(await readFile(new URL('../../schemas/documents/workers.json', import.meta.url), 'utf8'))
await send('POST', '/v1/schemas/workers/versions', document)
await send('PUT', '/v1/bindings/examples-dashboard', { pattern: 'examples/dashboard/**', subject: 'workers' })

// 2. The dashboard's side. Nobody has written yet: a bound stream is empty, not missing.
const anyObject = { '~standard': { version: 1, vendor: 'example', validate: (value) => ({ value }) } }
const db = createStreamDB({
  streamOptions: { url: `${SERVER}/v1/stream/${STREAM}`, contentType: 'application/json' },
  live: 'sse',
  state: createStateSchema({
    executions: { type: 'execution', primaryKey: 'id', schema: anyObject },
    jobs: { type: 'job', primaryKey: 'id', schema: anyObject },
  }),
})
await db.preload()
const { executions, jobs } = db.collections
assert.equal(executions.size, 0)

// A query that keeps itself current.
const byStatus = createLiveQueryCollection({
  startSync: true,
  query: (q) =>
    q
      .from({ execution: executions })
      .groupBy(({ execution }) => execution.status)
      .select(({ execution }) => ({ status: execution.status, executions: count(execution.id) })),
})
await byStatus.preload()
const counts = () => Object.fromEntries(byStatus.toArray.map(({ status, executions }) => [status, executions]))

// 3. The workers' side: whole entities, single members, batches.
const entity = (type, key) => `/v1/state/${STREAM}/-/entities/${type}/${key}`
await send('PUT', entity('job', 'nightly'), { id: 'nightly', name: 'Nightly report', enabled: true })
const ids = Array.from({ length: 8 }, () => crypto.randomUUID())
await send('POST', `/v1/state/${STREAM}/-/changes`, ids.map((id) => ({
  type: 'execution',
  key: id,
  value: { id, jobId: 'nightly', status: 'queued' },
  headers: { operation: 'upsert' },
})))
await until('eight are queued', () => counts().queued === 8)
console.log('queued   ', counts())

for (const id of ids.slice(0, 5)) await send('PATCH', entity('execution', id), { status: 'running' })
await until('five are running', () => counts().running === 5)
console.log('started  ', counts())

for (const id of ids.slice(0, 3)) await send('PATCH', entity('execution', id), { status: 'completed', exitCode: 0 })
await send('PATCH', entity('execution', ids[3]), { status: 'failed', exitCode: 1, error: 'no space left' })
await send('DELETE', entity('execution', ids[7]))
await until('three are done', () => counts().completed === 3 && executions.size === 7)
console.log('finished ', counts())
assert.deepEqual(counts(), { completed: 3, failed: 1, running: 1, queued: 2 })
assert.equal(jobs.get('nightly').name, 'Nightly report')

// 4. A status that nobody has heard of never reaches a dashboard.
await assert.rejects(send('PATCH', entity('execution', ids[4]), { status: 'exploded' }), /422/)

// 5. What is shown is what the server holds.
const { collections } = await send('GET', `/v1/state/${STREAM}/-/snapshot`)
const shown = Object.fromEntries(
  [...executions.entries()].map(([id, row]) => [id, { status: row.status, error: row.error }]),
)
const held = Object.fromEntries(
  Object.entries(collections.execution).map(([id, { status, error }]) => [id, { status, error }]),
)
assert.deepEqual(shown, held)
for (const { id, status, error } of executions.toArray) console.log(id, status, error ?? '')
db.close()
console.log('the dashboard shows what the server holds')
