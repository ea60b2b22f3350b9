// The ten acceptance cases, by number; 5 and 9, which are about views, are in `acceptance-views.test.mjs`.
//
// NetScript's producer is acted by `netscript.mjs`, which `reactions.test.mjs` holds to its documented behaviour; readers
// are the published ones.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { DurableStream, stream as read } from '@durable-streams/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { execution, executionId, job, saga } from './entities.mjs'
import { NetScriptProducer, traced } from './netscript.mjs'
import { materialized, messages, rows, shows, streamDB } from './readers.mjs'
import { Server } from './server.mjs'
import { Writers, bind, change, request } from './writers.mjs'

/** How a binding serves NetScript's services (`docs/protocol.md`). */
const NETSCRIPT = { validation: 'quarantine', producers: 'epoch_floor', close: 'ignore', egress: 'sse_v1' }
const MODES = ['reject', 'quarantine', 'warn', 'off']

let server

beforeAll(async () => {
  server = await Server.start()
  await bind(server, 'workers', 'netscript/workers/**', NETSCRIPT)
  await bind(server, 'sagas', 'netscript/sagas/**', NETSCRIPT)
  await bind(server, 'workers', 'workers/**')
  for (const validation of MODES)
    await bind(server, 'workers', `${validation}/workers/**`, { ...NETSCRIPT, validation })
})

afterAll(() => server?.remove())

const urlOf = (name) => `${server.url}/v1/stream/${name}`
const upsert = (number, members) => change('execution', executionId(number), execution(number, members), traced())
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** A change without what the server adds to it. */
const asSent = ({ type, key, value, headers: { operation, correlationId, traceparent } }) => ({
  ...change(type, key, value),
  headers: { operation, correlationId, traceparent },
})

/** What a list of changes adds up to. */
function folded(changes) {
  const state = new Map()
  for (const { key, value } of changes) value === undefined ? state.delete(key) : state.set(key, value)
  return Object.fromEntries(state)
}

const unharmed = { dead: undefined, lost: [] }
const harm = ({ dead, lost }) => ({ dead, lost })

it('case 1: three writes buffered while the server was killed arrive in order, once, with their trace headers', async () => {
  const url = urlOf('netscript/workers/killed')
  const producer = new NetScriptProducer(url, 'workers')
  const sent = Array.from({ length: 4 }, (_, n) => upsert(n))
  producer.enqueue(sent[0])
  await producer.flush()
  await server.kill()
  for (const one of sent.slice(1)) expect(producer.enqueue(one)).toBe(true)
  await sleep(500)
  await server.startAgain()
  await producer.flush()
  expect(harm(producer)).toEqual(unharmed)
  expect((await messages(url)).map(asSent)).toEqual(sent)
})

it('case 2: a producer that is restarted three times loses nothing, and its receipts are true', async () => {
  const url = urlOf('netscript/workers/restarted')
  const delivered = []
  for (let life = 0; life < 4; life++) {
    // Nothing of a life is left but the id: epoch 0, seq 0 again.
    const producer = new NetScriptProducer(url, 'workers')
    for (let n = 0; n < 10; n++) producer.enqueue(upsert(life * 5 + n, { attempt: life }))
    producer.enqueue(change('execution', executionId(life * 5), undefined, traced()))
    await producer.flush()
    expect(harm(producer)).toEqual(unharmed)
    // 204 would be taken for delivered as well, and would be a lie.
    expect(producer.receipts.map(({ status }) => status)).toEqual(Array(11).fill(200))
    delivered.push(...producer.receipts.map(({ change }) => change))
    if (life === 1) await server.restart('kill')
  }
  expect((await messages(url)).map(asSent)).toEqual(delivered)
  expect(Object.fromEntries((await materialized(url)).getType('execution'))).toEqual(folded(delivered))
})

describe('case 3: preload() on a bound stream never written', () => {
  it.each(['long-poll', 'sse'])('resolves empty, and then the first write comes (%s)', async (live) => {
    const writers = new Writers(server, `workers/unwritten-${live}`)
    const db = await streamDB(writers.streamUrl, 'workers', { live })
    await db.preload()
    expect({ execution: rows(db, 'execution'), job: rows(db, 'job') }).toEqual({ execution: {}, job: {} })
    await writers.put('job', 'job-1', job(1))
    await shows(db, { execution: {}, job: writers.entities('job') })
    db.close()
  })
})

it('case 4: a saga at version 3 stays there when a start-up mirror writes version 1 again', async () => {
  const url = urlOf('netscript/sagas/checkout')
  const key = 'checkout:order-42'
  const write = async (...states) => {
    const producer = new NetScriptProducer(url, 'sagas')
    for (const [version, status] of states) {
      producer.enqueue(change('saga-instance', key, saga(key, version, status), traced()))
    }
    await producer.flush()
    expect(harm(producer)).toEqual(unharmed)
  }
  const live = await streamDB(url, 'sagas', { live: 'sse' })
  await live.preload()
  await write([1, 'running'], [2, 'compensating'], [3, 'completed'])
  await shows(live, { sagaInstance: { [key]: saga(key, 3, 'completed') } })
  await write([1, 'running'])
  // Another saga tells when the old version would have come.
  const last = saga('checkout:last', 1, 'running')
  await new Writers(server, 'netscript/sagas/checkout').put('saga-instance', last.instanceId, last)
  const expected = { [key]: saga(key, 3, 'completed'), [last.instanceId]: last }
  await shows(live, { sagaInstance: expected })
  live.close()
  const late = await streamDB(url, 'sagas', { live: false })
  await late.preload()
  expect(rows(late, 'sagaInstance')).toEqual(expected)
  expect(Object.fromEntries((await materialized(url)).getType('saga-instance'))).toEqual(expected)
})

describe('case 6: an execution with a status outside the enum', () => {
  const [first, bad, last] = [upsert(1), upsert(2, { status: 'exploded' }), upsert(3)]

  async function producing(mode) {
    const producer = new NetScriptProducer(urlOf(`${mode}/workers/enum`), 'workers')
    for (const one of [first, bad, last]) producer.enqueue(one)
    await producer.flush()
    return producer
  }
  const written = async (mode) => (await messages(urlOf(`${mode}/workers/enum`))).map(asSent)
  const quarantined = async (mode) =>
    (await request(`${server.url}/v1/state/${mode}/workers/enum/-/quarantine`)).json().entries
  const warned = async () =>
    Number(/^keyfold_warned_changes\S* (\d+)/m.exec((await request(`${server.url}/metrics`)).text)?.[1])
  const place = expect.objectContaining({ pointer: expect.stringMatching(/status$/), keyword: 'enum' })

  it('is refused under `reject`: the producer is told where and why, and no reader sees it', async () => {
    const producer = await producing('reject')
    expect(producer.dead.status).toBe(422)
    expect(JSON.parse(producer.dead.text)).toMatchObject({ status: 422, errors: [place] })
    expect(producer.lost).toEqual([bad, last])
    expect(await written('reject')).toEqual([first])
    expect(await quarantined('reject')).toEqual([])
  })

  it('is kept aside under `quarantine`: the producer lives, readers see the others, and it can be looked at', async () => {
    const producer = await producing('quarantine')
    expect(harm(producer)).toEqual(unharmed)
    expect(await written('quarantine')).toEqual([first, last])
    const entries = await quarantined('quarantine')
    expect(entries.map(({ change }) => asSent(change))).toEqual([bad])
    expect(entries[0].errors).toEqual([place])
    const db = await streamDB(urlOf('quarantine/workers/enum'), 'workers', { live: false })
    await db.preload()
    expect(rows(db, 'execution')).toEqual(folded([first, last]))
  })

  it('is written under `warn`, and counted', async () => {
    const before = await warned()
    const producer = await producing('warn')
    expect(harm(producer)).toEqual(unharmed)
    expect(await written('warn')).toEqual([first, bad, last])
    expect(await quarantined('warn')).toEqual([])
    expect(await warned()).toBe(before + 1)
  })

  it('is written under `off`, and nobody is told', async () => {
    const before = await warned()
    const producer = await producing('off')
    expect(harm(producer)).toEqual(unharmed)
    expect(await written('off')).toEqual([first, bad, last])
    expect(await warned()).toBe(before)
  })
})

/** Runs a producer in a process of its own; resolves with what became of it. */
function processOf(url, id, first, count) {
  const program = fileURLToPath(new URL('producing.mjs', import.meta.url))
  const child = spawn(process.execPath, [program, url, id, String(first), String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) =>
      code === 0 ? resolve(JSON.parse(output)) : reject(new Error(`the producer ended with ${code}`)),
    )
  })
}

it('case 7: two processes with one producer id are fenced cleanly, and both are visible in the inspection', async () => {
  const url = urlOf('netscript/workers/twice')
  const [one, other] = await Promise.all([processOf(url, 'workers', 0, 40), processOf(url, 'workers', 100, 40)])
  const keys = (await messages(url)).map(({ key }) => key)
  for (const [{ receipts, dead, lost }, first] of [
    [one, 0],
    [other, 100],
  ]) {
    expect({ dead, lost }).toEqual(unharmed)
    expect(receipts.map(({ status }) => status)).toEqual(Array(40).fill(200))
    // Each one's writes are there once, in its order, whoever came in between.
    const own = Array.from({ length: 40 }, (_, n) => executionId(first + n))
    expect(keys.filter((key) => own.includes(key))).toEqual(own)
  }
  expect(keys).toHaveLength(80)
  const { producers } = (await request(`${server.url}/v1/state/netscript/workers/twice`)).json()
  expect(producers.map(({ id }) => id)).toEqual(['workers'])
  const epochs = [producers[0].epoch, ...producers[0].former.map(({ epoch }) => epoch)]
  expect(epochs.length).toBeGreaterThan(1)
  expect(epochs).toEqual(expect.arrayContaining([one.epoch, other.epoch]))
  expect(producers[0].epoch).toBe(Math.max(one.epoch, other.epoch))
})

describe('case 8: a chat of raw JSON chunks', () => {
  // Spelled as no serializer would: a server that parses and writes again gives itself away.
  const CHUNKS = [
    '{"type":"text-delta","id":"1","delta":"Gr\\u00fc\\u00dfe"}',
    '{"n":1.0,"e":1E3,"big":12345678901234567890,"neg":-0.0}',
    '{ "spaced" : [ 1 , 2 ] }',
    '"a text"',
    '17',
    'null',
    '{"z":1,"a":2,"headers":{"operation":"explode"}}',
    '{"type":"message","key":"m1","value":7,"headers":{"operation":"upsert"}}',
  ]
  const body = `[${CHUNKS.join(',')}]`
  const parsed = CHUNKS.map((chunk) => JSON.parse(chunk))

  it('passes through untouched, also over a kill', async () => {
    const chat = await DurableStream.create({ url: urlOf('chats/raw'), contentType: 'application/json' })
    for (const chunk of CHUNKS) {
      await request(chat.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: `[${chunk}]` })
    }
    expect((await request(`${chat.url}?offset=-1`)).text).toBe(body)
    await server.restart('kill')
    expect((await request(`${chat.url}?offset=-1`)).text).toBe(body)
  })

  it.each(['long-poll', 'sse'])('comes by %s as it was sent', async (live) => {
    const answer = await read({ url: urlOf('chats/raw'), offset: '-1', live, json: true })
    expect(await answer.json()).toEqual(parsed)
  })
})

it('case 10: 1,000 rows go through a buffer of 256 as fast as it drains, and none is rejected', async () => {
  const PER_SECOND = 2_000
  const url = urlOf('netscript/workers/thousand')
  const producer = new NetScriptProducer(url, 'workers')
  const rejected = []
  const began = performance.now()
  for (let n = 0; n < 1_000; n++) {
    // At most so many a second, and held back by a full buffer as its users are.
    const due = began + (n * 1_000) / PER_SECOND
    while (performance.now() < due || producer.full) await sleep(1)
    if (!producer.enqueue(upsert(n))) rejected.push(n)
  }
  await producer.flush()
  const seconds = (performance.now() - began) / 1_000
  console.info(
    `1,000 rows in ${seconds.toFixed(2)} s: ${Math.round(1_000 / seconds)} a second, ${seconds.toFixed(2)} ms an acknowledgement`,
  )
  expect(rejected).toEqual([])
  expect(harm(producer)).toEqual(unharmed)
  expect(producer.receipts.map(({ status }) => status)).toEqual(Array(1_000).fill(200))
  expect((await materialized(url)).getType('execution').size).toBe(1_000)
})
