// NetScript's services, which cannot be changed: what they write arrives, whatever is restarted.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { execution, executionId } from './entities.mjs'
import { NetScriptProducer, frameFaults, traced } from './netscript.mjs'
import { messages, shows, streamDB } from './readers.mjs'
import { Server } from './server.mjs'
import { Writers, bind, change, request } from './writers.mjs'

const HEARTBEAT_MS = 400

let server

beforeAll(async () => {
  server = await Server.start({ args: ['--long-poll-ms', '500', '--heartbeat-ms', String(HEARTBEAT_MS)] })
  await bind(server, 'workers', 'netscript/workers/**', {
    validation: 'quarantine',
    producers: 'epoch_floor',
    close: 'ignore',
    egress: 'sse_v1',
  })
})

afterAll(() => server?.remove())

const urlOf = (name) => `${server.url}/v1/stream/netscript/workers/${name}`
const upsert = (number, members) => change('execution', executionId(number), execution(number, members), traced())
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** What a list of changes adds up to. */
function folded(changes) {
  const state = new Map()
  for (const { key, value } of changes) value === undefined ? state.delete(key) : state.set(key, value)
  return Object.fromEntries(state)
}

/** Its headers arrive as they were sent; the server only adds to them. */
const asSent = ({ type, key, value, headers }) => ({
  ...change(type, key, value),
  headers: {
    operation: headers.operation,
    correlationId: headers.correlationId,
    traceparent: headers.traceparent,
  },
})

describe('a producer', () => {
  it('keeps its place when the server is killed again and again while it writes', async () => {
    const url = urlOf('again')
    const producer = new NetScriptProducer(url, 'workers')
    const sent = Array.from({ length: 240 }, (_, n) => upsert(n % 20, { attempt: n }))
    for (const one of sent) expect(producer.enqueue(one)).toBe(true)
    for (let kill = 0; kill < 3; kill++) {
      await sleep(60)
      await server.restart('kill')
    }
    await producer.flush()
    expect({ dead: producer.dead, lost: producer.lost }).toEqual({ dead: undefined, lost: [] })
    expect((await messages(url)).map(asSent)).toEqual(sent)
  })

  it('lives on when a value is refused, which is kept aside', async () => {
    const url = urlOf('quarantined')
    const producer = new NetScriptProducer(url, 'workers')
    const [first, bad, last] = [upsert(1), upsert(2, { status: 'exploded' }), upsert(3)]
    for (const one of [first, bad, last]) producer.enqueue(one)
    await producer.flush()
    expect(producer.dead).toBeUndefined()
    expect((await messages(url)).map(asSent)).toEqual([first, last])
    const listed = await request(`${server.url}/v1/state/netscript/workers/quarantined/-/quarantine`)
    const { entries } = listed.json()
    expect(entries.map((entry) => asSent(entry.change))).toEqual([bad])
    expect(entries[0].errors[0]).toMatchObject({ pointer: expect.stringContaining('status'), keyword: 'enum' })
  })

  it('that closes its stream does not end it for the others', async () => {
    const url = urlOf('closed')
    const [one, other] = [new NetScriptProducer(url, 'one'), new NetScriptProducer(url, 'other')]
    one.enqueue(upsert(1))
    expect(await one.close()).toBeLessThan(300)
    other.enqueue(upsert(2))
    await other.flush()
    one.enqueue(upsert(3))
    await one.flush()
    expect([one.dead, other.dead]).toEqual([undefined, undefined])
    expect(await messages(url)).toHaveLength(3)
  })

  it('feeds a StreamDB', async () => {
    const url = urlOf('mirror')
    const db = await streamDB(url, 'workers', { live: 'sse' })
    await db.preload()
    const producer = new NetScriptProducer(url, 'workers')
    const sent = Array.from({ length: 30 }, (_, n) => upsert(n % 7, { attempt: n }))
    for (const one of sent) producer.enqueue(one)
    await producer.flush()
    await shows(db, { execution: folded(sent), job: {} })
    db.close()
  })
})

/** The frames of an SSE response until `enough` says so. */
async function frames(url, enough) {
  const abort = new AbortController()
  const late = setTimeout(() => abort.abort(new Error('not enough frames')), 10_000)
  const answer = await fetch(url, { headers: { accept: 'text/event-stream' }, signal: abort.signal })
  expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/)
  const found = []
  let text = ''
  try {
    for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
      text += chunk
      for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
        const lines = text.slice(0, end).split('\n')
        const field = (name) =>
          lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).replace(/^ /, ''))
        if (field('event').length === 0 && field('data').length === 0) continue
        found.push({ event: field('event')[0], data: field('data').join('\n'), at: Date.now() })
        if (enough(found)) return found
      }
    }
  } finally {
    clearTimeout(late)
    abort.abort()
  }
  throw new Error(`the response ended after ${found.length} frames`)
}

it('its SSE v1 reader accepts every frame, whichever door wrote', async () => {
  const writers = new Writers(server, 'netscript/workers/egress')
  const began = Date.now()
  const controls = (list) => list.filter(({ event }) => event === 'control')
  const reading = frames(`${writers.streamUrl}?offset=-1&live=sse`, (list) => {
    const data = list.filter(({ event }) => event === 'data').flatMap(({ data }) => JSON.parse(data))
    return data.length >= 7 && list.at(-1).at - list.findLast(({ event }) => event === 'data').at > HEARTBEAT_MS / 2
  })
  await sleep(200)
  await writers.put('execution', executionId(1), execution(1))
  await writers.patch('execution', executionId(1), { status: 'completed' })
  await writers.batch([change('execution', executionId(2), execution(2)), change('execution', executionId(1))])
  await writers.ingest([change('execution', executionId(3), execution(3))])
  await writers.post([{ ...change('execution', executionId(3)), value: null }])
  await writers.delete('execution', executionId(2))
  const read = await reading
  expect(read.flatMap(({ event, data }) => frameFaults(event, data))).toEqual([])
  expect(read[0].event).toBe('control')
  expect(read[0].at - began).toBeLessThan(1_000)
  // Another control as heartbeat, though nothing was written.
  expect(controls(read).at(-1).at).toBeGreaterThan(read.findLast(({ event }) => event === 'data').at)
})
