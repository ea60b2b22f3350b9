// Clients that know no `/v1/stream`: a StreamDB, an EventSource and `auth session list`, below a mount at the root.

import { EventSource } from 'eventsource'
import { afterAll, beforeAll, expect, it } from 'vitest'

import { job } from './entities.mjs'
import { messages, shows, streamDB } from './readers.mjs'
import { Server } from './server.mjs'
import { Writers, bind } from './writers.mjs'

let server

beforeAll(async () => {
  server = await Server.start({ args: ['--long-poll-ms', '500', '--root-mount', 'netscript/'] })
  await bind(server, 'workers', 'netscript/workers/**')
})

afterAll(() => server?.remove())

it.each(['long-poll', 'sse'])('a StreamDB that reads by %s reads the protocol there', async (live) => {
  const writers = new Writers(server, `netscript/workers/mounted-${live}`)
  await writers.put('job', 'job-1', job(1))
  const url = `${server.url}/workers/mounted-${live}`
  const db = await streamDB(url, 'workers', { live })
  await db.preload()
  await writers.put('job', 'job-2', job(2))
  await shows(db, { job: writers.entities('job') })
  db.close()
  expect((await messages(url)).map(({ key }) => key)).toEqual(['job-1', 'job-2'])
})

it('an EventSource as a page would write it is told each change, and what is gone', async () => {
  const writers = new Writers(server, 'netscript/workers/executions')
  await writers.put('job', 'job-1', job(1))
  const rows = new Map()
  const source = new EventSource(`${server.url}/workers/executions`)
  source.onmessage = (ev) => {
    const { key, value } = JSON.parse(ev.data)
    if (value === undefined) rows.delete(key)
    else rows.set(key, value)
  }
  await expect.poll(() => Object.fromEntries(rows)).toEqual({ 'job-1': job(1) })
  await writers.put('job', 'job-2', job(2))
  await writers.delete('job', 'job-1')
  await expect.poll(() => Object.fromEntries(rows)).toEqual({ 'job-2': job(2) })
  source.close()
})

it('a list of what there is comes as collections of values', async () => {
  const writers = new Writers(server, 'netscript/workers/listed')
  const list = async () =>
    (await fetch(`${server.url}/workers/listed`, { headers: { accept: 'application/json' } })).json()
  expect((await list()).collections.job).toEqual([])
  await writers.put('job', 'job-1', job(1))
  await writers.put('job', 'job-2', job(2))
  await writers.delete('job', 'job-1')
  expect((await list()).collections.job).toEqual([job(2)])
})
