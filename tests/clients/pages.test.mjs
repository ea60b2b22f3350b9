// Readers whose state takes many pages, and connections that the server ends now and then, while others write.

import { EventSource } from 'eventsource'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { execution, executionId } from './entities.mjs'
import { messages, rows, shows, streamDB } from './readers.mjs'
import { Server } from './server.mjs'
import { Writers, bind, change } from './writers.mjs'

const ENTITIES = 300

let server

beforeAll(async () => {
  server = await Server.start({
    args: ['--long-poll-ms', '500', '--page-bytes-max', '4096', '--sse-rotation-ms', '2000'],
  })
  await bind(server, 'workers', 'netscript/workers/**')
  await bind(server, 'workers', 'folded/workers/**', { reads: 'folded' })
})

afterAll(() => server?.remove())

const upsert = (number, attempt) => change('execution', executionId(number), execution(number, { attempt }))

/** Two rounds of changes of every entity, in batches; every seventh is deleted and written once more. */
async function fill(writers) {
  for (let attempt = 0; attempt < 2; attempt++) {
    for (let first = 0; first < ENTITIES; first += 50) {
      await writers.post(Array.from({ length: 50 }, (_, n) => upsert(first + n, attempt)))
    }
  }
  for (let n = 0; n < ENTITIES; n += 7) await writers.delete('execution', executionId(n))
  for (let n = 0; n < ENTITIES; n += 14) await writers.put('execution', executionId(n), execution(n, { attempt: 9 }))
}

/** Writes for a while: updates, deletes and new entities, spread over all keys. */
async function keepWriting(writers, forMs) {
  const end = Date.now() + forMs
  for (let n = 0; Date.now() < end; n++) {
    const number = (n * 37) % (ENTITIES + 50)
    const live = writers.entities('execution')[executionId(number)] !== undefined
    if (live && n % 5 === 0) await writers.delete('execution', executionId(number))
    else await writers.post([upsert(number, 100 + n)])
    await new Promise((resolve) => setTimeout(resolve, 4))
  }
}

describe.each(['netscript/workers', 'folded/workers'])('below %s', (root) => {
  it.each(['long-poll', 'sse'])('a StreamDB that reads by %s loads and follows while others write', async (live) => {
    const writers = new Writers(server, `${root}/pages-${live}`)
    await fill(writers)
    const writing = keepWriting(writers, 2_500)
    const db = await streamDB(writers.streamUrl, 'workers', { live })
    await db.preload()
    await writing
    await shows(db, { execution: writers.entities('execution') })
    db.close()
    const late = await streamDB(writers.streamUrl, 'workers', { live })
    await late.preload()
    expect(rows(late, 'execution')).toEqual(writers.entities('execution'))
    late.close()
  })

  it('an EventSource loads and follows while others write', async () => {
    const writers = new Writers(server, `${root}/pages-events`)
    await fill(writers)
    const writing = keepWriting(writers, 2_000)
    const state = new Map()
    let atReady
    const source = new EventSource(`${server.url}/v1/state/${writers.stream}/-/events`)
    source.onmessage = ({ data }) => {
      const { key, value } = JSON.parse(data)
      value === undefined ? state.delete(key) : state.set(key, value)
    }
    source.addEventListener('ready', () => (atReady = Object.fromEntries(state)))
    await writing
    await expect.poll(() => atReady, { timeout: 10_000 }).toEqual(writers.entities('execution'))
    source.close()
  })
})

it('a StreamDB that asks for a folded read loads the live entities only', async () => {
  const writers = new Writers(server, 'netscript/workers/asked')
  await fill(writers)
  const raw = await messages(writers.streamUrl)
  const folded = await messages(`${writers.streamUrl}?fold=true`)
  const live = Object.keys(writers.entities('execution')).length
  expect(folded.filter(({ headers }) => headers.operation)).toHaveLength(live)
  expect(folded.map(({ headers }) => headers.control).filter(Boolean)).toEqual(['snapshot-start', 'snapshot-end'])
  expect(raw.length).toBeGreaterThan(folded.length * 2)
  const db = await streamDB(`${writers.streamUrl}?fold=true`, 'workers', { live: 'sse' })
  await db.preload()
  expect(rows(db, 'execution')).toEqual(writers.entities('execution'))
  await keepWriting(writers, 1_500)
  await shows(db, { execution: writers.entities('execution') })
  db.close()
})

it('deleting a bound stream empties every reader, and the next write shows', async () => {
  const writers = new Writers(server, 'netscript/workers/emptied')
  await fill(writers)
  const db = await streamDB(writers.streamUrl, 'workers', { live: 'sse' })
  await db.preload()
  expect(Object.keys(rows(db, 'execution')).length).toBeGreaterThan(200)
  expect((await fetch(writers.streamUrl, { method: 'DELETE' })).ok).toBe(true)
  await shows(db, { execution: {} })
  await writers.put('execution', executionId(1), execution(1))
  await shows(db, { execution: { [executionId(1)]: execution(1) } })
  db.close()
})
