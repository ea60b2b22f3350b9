// Streamed ingest by node's own HTTP client, which reads while it still writes.

import http from 'node:http'
import readline from 'node:readline'
import { afterAll, beforeAll, expect, it } from 'vitest'

import { execution, executionId } from './entities.mjs'
import { materialized, messages } from './readers.mjs'
import { Server } from './server.mjs'
import { bind, change } from './writers.mjs'

let server

beforeAll(async () => {
  server = await Server.start()
  await bind(server, 'workers', 'netscript/workers/**')
})

afterAll(() => server?.remove())

const upsert = (number, attempt = 0) => change('execution', executionId(number), execution(number, { attempt }))

/** One ingest connection: `send` writes a line, `next` resolves with the next answer line, or nothing at the end. */
function ingest(stream, headers = {}) {
  const request = http.request(`${server.url}/v1/state/${stream}/-/changes`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson', ...headers },
  })
  const lines = []
  const waiting = []
  let ended = false
  const give = () => {
    while (waiting.length > 0 && (lines.length > 0 || ended)) waiting.shift()(lines.shift())
  }
  const end = () => {
    ended = true
    give()
  }
  request.on('response', (response) => {
    response.on('error', end)
    const reader = readline.createInterface({ input: response })
    reader.on('line', (line) => {
      lines.push(JSON.parse(line))
      give()
    })
    reader.on('error', end)
    reader.on('close', end)
  })
  request.on('error', end)
  request.flushHeaders()
  return {
    send: (value) => request.write(`${JSON.stringify(value)}\n`),
    end: () => request.end(),
    next: () => new Promise((resolve) => (waiting.push(resolve), give())),
  }
}

it('a line is acknowledged while the connection stays open', async () => {
  const connection = ingest('netscript/workers/open')
  for (let n = 0; n < 5; n++) {
    connection.send(upsert(n))
    expect(await connection.next()).toMatchObject({ seq: n, offset: expect.stringMatching(/^[0-9a-f]{16}_0{16}$/) })
    expect(await messages(`${server.url}/v1/stream/netscript/workers/open`)).toHaveLength(n + 1)
  }
  connection.end()
  expect(await connection.next()).toBeUndefined()
})

it('a refused line ends it, and nothing after it is written', async () => {
  const connection = ingest('netscript/workers/refused')
  connection.send(upsert(1))
  connection.send([upsert(2), upsert(3)])
  connection.send(change('execution', executionId(4), execution(4, { status: 'exploded' })))
  connection.send(upsert(5))
  connection.end()
  expect((await connection.next()).seq).toBe(0)
  expect((await connection.next()).seq).toBe(1)
  expect(await connection.next()).toMatchObject({ seq: 2, error: { status: 422 } })
  expect(await connection.next()).toBeUndefined()
  expect(await messages(`${server.url}/v1/stream/netscript/workers/refused`)).toHaveLength(3)
})

it('sent again as a whole after the server was killed, each line counts once', async () => {
  const url = `${server.url}/v1/stream/netscript/workers/again`
  const lines = Array.from({ length: 400 }, (_, n) => upsert(n % 30, n))
  const producer = { 'producer-id': 'loader', 'producer-epoch': '0' }
  for (let kills = 0; kills < 3; kills++) {
    const connection = ingest('netscript/workers/again', { ...producer, 'producer-seq': '0' })
    const told = 100 * (kills + 1)
    for (const line of lines.slice(0, told + 50)) connection.send(line)
    for (let seq = 0; seq < told; seq++) expect((await connection.next()).seq).toBe(seq)
    await server.restart('kill')
  }
  const connection = ingest('netscript/workers/again', { ...producer, 'producer-seq': '0' })
  for (const line of lines) connection.send(line)
  connection.end()
  const acks = []
  for (let ack; (ack = await connection.next()) !== undefined; ) acks.push(ack)
  expect(acks.map(({ seq }) => seq)).toEqual(lines.map((_, seq) => seq))
  // Whatever was acknowledged before is a repeat now.
  expect(acks.slice(0, 300).every(({ duplicate }) => duplicate)).toBe(true)
  expect((await messages(url)).map(({ value }) => value.attempt)).toEqual(lines.map(({ value }) => value.attempt))
  const state = (await materialized(url)).getType('execution')
  expect(state.size).toBe(30)
})
