// A binding with `reads: folded`: plain readers are given the live entities instead of the history.

import { stream as read } from '@durable-streams/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { execution, executionId } from './entities.mjs'
import { messages, rows, shows, streamDB } from './readers.mjs'
import { Server } from './server.mjs'
import { Writers, bind, change } from './writers.mjs'

const ENTITIES = 5
const ROUNDS = 40

let server
let writers

beforeAll(async () => {
  server = await Server.start()
  await bind(server, 'workers', 'netscript/workers/**', { reads: 'folded' })
  writers = new Writers(server, 'netscript/workers/folded')
  const all = Array.from({ length: ENTITIES }, (_, number) => number)
  for (let attempt = 0; attempt < ROUNDS; attempt++) {
    await writers.post(all.map((n) => change('execution', executionId(n), execution(n, { attempt }))))
  }
  await writers.put('execution', executionId(99), execution(99))
  await writers.delete('execution', executionId(99))
})

afterAll(() => server?.remove())

it('a plain read from the beginning gives one change per live entity, and no control messages', async () => {
  const read = await messages(writers.streamUrl)
  expect(read.map(({ headers }) => headers.operation)).toEqual(Array(ENTITIES).fill('upsert'))
  expect(Object.fromEntries(read.map(({ key, value }) => [key, value]))).toEqual(writers.entities('execution'))
})

it('an offset of the middle of the history can still be read from', async () => {
  const answer = await read({ url: writers.streamUrl, offset: '-1', live: false, json: true })
  await answer.json()
  const before = answer.offset
  await writers.put('execution', executionId(0), execution(0, { attempt: 999 }))
  const rest = await messages(writers.streamUrl, { offset: before })
  expect(rest.map(({ key, value }) => [key, value.attempt])).toEqual([[executionId(0), 999]])
})

describe.each(['long-poll', 'sse'])('a StreamDB that reads by %s', (live) => {
  it('loads, follows, sees a delete, and converges after a restart', async () => {
    const db = await streamDB(writers.streamUrl, 'workers', { live })
    await db.preload()
    expect(rows(db, 'execution')).toEqual(writers.entities('execution'))
    const added = live === 'sse' ? 50 : 60
    await writers.put('execution', executionId(added), execution(added))
    await shows(db, { execution: writers.entities('execution') })
    await writers.delete('execution', executionId(added))
    await shows(db, { execution: writers.entities('execution') })
    await server.restart()
    await writers.patch('execution', executionId(1), { status: 'completed', attempt: 1000 + added })
    await shows(db, { execution: writers.entities('execution') })
    db.close()
    const late = await streamDB(writers.streamUrl, 'workers', { live })
    await late.preload()
    expect(rows(late, 'execution')).toEqual(writers.entities('execution'))
    late.close()
  })
})
