// What each door wrote is what the published StreamDB and MaterializedState show: at once, live, and after a restart.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { execution, executionId, job } from './entities.mjs'
import { materialized, messages, rows, shows, stateSchema, streamDB } from './readers.mjs'
import { Server } from './server.mjs'
import { Writers, bind, change, snapshot } from './writers.mjs'

let server

beforeAll(async () => {
  server = await Server.start()
  await bind(server, 'workers', 'netscript/workers/**')
})

afterAll(() => server?.remove())

/** Every door, several entities each, from `first` on; later changes meet those of other doors. */
async function throughEveryDoor(writers, first) {
  const run = (number, members) => change('execution', executionId(number), execution(number, members))
  await writers.post([run(first), run(first + 1), change('job', `job-${first}`, job(first))])
  await writers.put('execution', executionId(first + 2), execution(first + 2))
  await writers.batch([
    run(first, { status: 'completed', exitCode: 0, result: { rows: [1, 2.5, 'drei'] } }),
    change('job', `job-${first + 1}`, job(first + 1, { description: 'täglich 🦀' })),
    change('execution', executionId(first + 1)),
  ])
  await writers.ingest([run(first + 3), run(first + 4, { attempt: 2 }), change('job', `job-${first}`)])
  await writers.patch('execution', executionId(first + 2), { status: 'failed', error: 'exit code 3', exitCode: 3 })
  await writers.put('execution', executionId(first + 5), execution(first + 5))
  await writers.delete('execution', executionId(first + 5))
}

const expected = (writers) => ({ execution: writers.entities('execution'), job: writers.entities('job') })

describe.each(['long-poll', 'sse'])('a StreamDB that reads by %s', (live) => {
  const stream = `netscript/workers/doors-${live}`
  let writers
  let db

  beforeAll(() => (writers = new Writers(server, stream)))

  it('loads what every door wrote', async () => {
    await throughEveryDoor(writers, 100)
    db = await streamDB(writers.streamUrl, 'workers', { live })
    await db.preload()
    // Loaded means all of it, without waiting for more.
    expect({ execution: rows(db, 'execution'), job: rows(db, 'job') }).toEqual(expected(writers))
  })

  it('follows what every door writes', async () => {
    await throughEveryDoor(writers, 200)
    await shows(db, expected(writers))
  })

  it('goes on after the server was stopped and started', async () => {
    await server.restart()
    await throughEveryDoor(writers, 300)
    await shows(db, expected(writers))
  })

  it('loads the same after the server was killed', async () => {
    // The published client does not come back from an SSE response that is cut in the middle.
    db.close()
    await server.restart('kill')
    const late = await streamDB(writers.streamUrl, 'workers', { live })
    await late.preload()
    expect({ execution: rows(late, 'execution'), job: rows(late, 'job') }).toEqual(expected(writers))
    late.close()
  })

  it('agrees with MaterializedState and with the server\'s own snapshot', async () => {
    const state = await materialized(writers.streamUrl)
    expect(Object.fromEntries(state.getType('execution'))).toEqual(writers.entities('execution'))
    expect(Object.fromEntries(state.getType('job'))).toEqual(writers.entities('job'))
    expect((await snapshot(server, stream)).collections).toEqual(expected(writers))
  })
})

it('a StreamDB that reads by long-poll goes on after the server was killed', async () => {
  const writers = new Writers(server, 'netscript/workers/killed')
  await writers.put('job', 'job-1', job(1))
  const db = await streamDB(writers.streamUrl, 'workers', { live: 'long-poll' })
  await db.preload()
  await server.restart('kill')
  await writers.put('job', 'job-2', job(2))
  await shows(db, { job: writers.entities('job') })
  db.close()
})

it('an optimistic action is confirmed by its transaction\'s id', async () => {
  const writers = new Writers(server, 'netscript/workers/actions')
  const { job: events } = await stateSchema('workers')
  const db = await streamDB(writers.streamUrl, 'workers', {
    live: 'sse',
    actions: ({ db, stream }) => ({
      addJob: {
        onMutate: (value) => db.collections.job.insert(value),
        mutationFn: async (value) => {
          const txid = crypto.randomUUID()
          await stream.append(JSON.stringify(events.insert({ value, headers: { txid } })))
          await db.utils.awaitTxId(txid)
        },
      },
    }),
  })
  await db.preload()
  await db.actions.addJob(job(7)).isPersisted.promise
  await shows(db, { job: { 'job-7': job(7) } })
  expect((await snapshot(server, writers.stream)).collections.job).toEqual({ 'job-7': job(7) })
  db.close()
})

it('a member that a patch removes is gone', async () => {
  const writers = new Writers(server, 'netscript/workers/patched')
  await writers.put('job', 'job-1', job(1, { description: 'old' }))
  await writers.patch('job', 'job-1', { description: null, name: 'New' })
  expect((await materialized(writers.streamUrl)).get('job', 'job-1')).toEqual({ id: 'job-1', name: 'New', enabled: true })
})

it('a refused batch leaves nothing for any reader', async () => {
  const writers = new Writers(server, 'netscript/workers/refused')
  await writers.put('job', 'job-1', job(1))
  const bad = [change('job', 'job-2', job(2)), change('execution', executionId(1), execution(1, { status: 'exploded' }))]
  await expect(writers.post(bad)).rejects.toThrow(/422[^]*"pointer"/)
  await expect(writers.batch(bad)).rejects.toThrow(/422/)
  await expect(writers.ingest(bad.slice(1))).rejects.toThrow(/refused/)
  await expect(writers.put('execution', executionId(1), bad[1].value)).rejects.toThrow(/422/)
  expect(await messages(writers.streamUrl)).toHaveLength(1)
})
