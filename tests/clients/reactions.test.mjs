// NetScript's producer, as the tests beside this one act it: what it sends, and what each answer makes it do.

import { createServer } from 'node:http'

import { afterEach, describe, expect, it } from 'vitest'

import { NetScriptProducer, retryMs, traced } from './netscript.mjs'
import { change } from './writers.mjs'

const servers = []
afterEach(() => servers.splice(0).forEach((server) => server.closeAllConnections() || server.close()))

/** A server that answers POSTs from a list, the last one for ever; `null` is no answer at all. Keeps what it was sent. */
async function scripted(answers) {
  const requests = []
  const server = createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    requests.push({ method: request.method, headers: request.headers, body: Buffer.concat(chunks).toString() })
    if (request.method !== 'POST') return void response.writeHead(409).end()
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    if (answer !== null) response.writeHead(answer.status ?? answer, answer.headers).end()
  })
  servers.push(server)
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}/v1/stream/netscript/workers`, requests }
}

const job = (n) => change('job', `job-${n}`, { id: `job-${n}` }, traced())

/** What a producer made of the answers to `count` changes. */
async function producing(answers, count = 2) {
  const { url, requests } = await scripted(answers)
  const producer = new NetScriptProducer(url, 'workers', { waitMs: () => 1, timeoutMs: 200 })
  for (let n = 0; n < count; n++) producer.enqueue(job(n))
  await producer.flush()
  const posts = requests
    .filter(({ method }) => method === 'POST')
    .map(({ headers, body }) => ({
      place: `${headers['producer-epoch']}/${headers['producer-seq']}`,
      key: JSON.parse(body)[0].key,
      changes: JSON.parse(body).length,
    }))
  return { producer, posts, methods: requests.map(({ method }) => method).join(' ') }
}

it('makes sure of its stream, then sends one change a request, from epoch 0, seq 0', async () => {
  const { producer, posts, methods } = await producing([200], 3)
  expect(methods).toBe('PUT POST POST POST')
  expect(posts).toEqual([0, 1, 2].map((n) => ({ place: `0/${n}`, key: `job-${n}`, changes: 1 })))
  expect(producer.receipts.map(({ status }) => status)).toEqual([200, 200, 200])
})

it('takes 204 for delivered', async () => {
  const { producer, posts } = await producing([204])
  expect(producer.receipts.map(({ status }) => status)).toEqual([204, 204])
  expect(posts.map(({ place }) => place)).toEqual(['0/0', '0/1'])
})

it('goes on at the epoch above the one it is told with a 403, with the same change', async () => {
  const { producer, posts } = await producing([{ status: 403, headers: { 'producer-epoch': '6' } }, 200])
  expect(posts.map(({ place, key }) => [place, key])).toEqual([
    ['0/0', 'job-0'],
    ['7/0', 'job-0'],
    ['7/1', 'job-1'],
  ])
  expect(producer.receipts).toHaveLength(2)
})

describe.each([408, 429, 500, 503, 507, null])('%s', (answer) => {
  it('is followed by a PUT and the same POST, and forgotten once one succeeds', async () => {
    const { producer, posts, methods } = await producing([answer, answer, 200], 1)
    expect(methods).toBe('PUT POST PUT POST PUT POST')
    expect(posts.map(({ place, key }) => [place, key])).toEqual(Array(3).fill(['0/0', 'job-0']))
    expect({ dead: producer.dead, lost: producer.lost, delivered: producer.receipts.length }).toEqual({
      dead: undefined,
      lost: [],
      delivered: 1,
    })
  })

  it('eight times loses the change', async () => {
    const { producer, posts } = await producing([answer], 1)
    expect(posts).toHaveLength(8)
    expect({ dead: producer.dead, lost: producer.lost.length }).toEqual({ dead: undefined, lost: 1 })
  })
})

it.each([400, 401, 404, 409, 410, 413, 422])(
  '%i kills it: nothing it has buffered is sent any more',
  async (status) => {
    const { producer, posts } = await producing([200, status, 200], 4)
    expect(producer.dead.status).toBe(status)
    expect(posts.map(({ key }) => key)).toEqual(['job-0', 'job-1'])
    expect(producer.lost).toHaveLength(3)
    expect(producer.enqueue(job(9))).toBe(false)
  },
)

it('gives up after 9 to 13 s', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7].map(retryMs)
  const all = waits.reduce((sum, ms) => sum + ms)
  expect(all).toBeGreaterThanOrEqual(9_000)
  expect(all).toBeLessThanOrEqual(13_000)
})

it('holds 256 changes that wait or are on their way, and refuses more', async () => {
  const { url } = await scripted([null])
  const producer = new NetScriptProducer(url, 'workers', { waitMs: () => 1, timeoutMs: 100 })
  const taken = Array.from({ length: 300 }, (_, n) => producer.enqueue(job(n)))
  expect(taken.filter(Boolean)).toHaveLength(256)
  expect(taken.lastIndexOf(true)).toBe(255)
})
