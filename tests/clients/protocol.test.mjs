// The reference client on streams that are not typed: what was appended comes back, whole, in order and once.

import { DurableStream, IdempotentProducer, StaleEpochError, stream as read } from '@durable-streams/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

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

const urlOf = (name) => `${server.url}/v1/stream/${name}`
const jsonStream = (name) => DurableStream.create({ url: urlOf(name), contentType: 'application/json' })

it('a stream can be text or bytes as well', async () => {
  const chat = await DurableStream.create({ url: urlOf('chats/text'), contentType: 'text/plain; charset=utf-8' })
  for (const piece of ['Grü', 'ße, ', '世界', ' 🦀\n']) await chat.append(piece)
  expect(await (await read({ url: chat.url, live: false })).text()).toBe('Grüße, 世界 🦀\n')
  const bytes = Uint8Array.from({ length: 1024 }, (_, n) => (n * 37) & 255)
  const binary = await DurableStream.create({ url: urlOf('chats/bytes'), contentType: 'application/octet-stream' })
  await binary.append(bytes.subarray(0, 300))
  await binary.append(bytes.subarray(300))
  expect(await (await read({ url: binary.url, live: false })).body()).toEqual(bytes)
})

describe.each(['long-poll', 'sse'])('the reference client, live by %s', (live) => {
  it('catches up with json(), follows with jsonStream(), and ends when the stream is closed', async () => {
    const stream = await jsonStream(`read/${live}`)
    for (let n = 0; n < 20; n++) await stream.append(JSON.stringify({ n }))
    const caughtUp = await read({ url: stream.url, offset: '-1', live, json: true })
    expect(await caughtUp.json()).toEqual(Array.from({ length: 20 }, (_, n) => ({ n })))
    const follower = await read({ url: stream.url, offset: caughtUp.offset, live, json: true })
    const rest = (async () => {
      const followed = []
      for await (const message of follower.jsonStream()) followed.push(message)
      return followed
    })()
    for (let n = 20; n < 40; n++) await stream.append(JSON.stringify({ n }))
    await stream.close({ body: JSON.stringify({ n: 40 }) })
    expect(await rest).toEqual(Array.from({ length: 21 }, (_, n) => ({ n: 20 + n })))
    expect(follower.streamClosed).toBe(true)
  })

  it('resumes at any offset it was given, without a gap and without a repeat', async () => {
    const stream = await jsonStream(`resume/${live}`)
    const seen = []
    let offset = '-1'
    for (let round = 0; round < 5; round++) {
      for (let n = 0; n < 4; n++) await stream.append(JSON.stringify(round * 4 + n))
      const answer = await read({ url: stream.url, offset, live, json: true })
      await new Promise((resolve) => {
        answer.subscribeJson((batch) => {
          seen.push(...batch.items)
          offset = batch.offset
          if (seen.length >= (round + 1) * 4) {
            answer.cancel()
            resolve()
          }
        })
      })
      await answer.closed.catch(() => {})
      if (round === 2) await server.restart()
    }
    expect(seen).toEqual(Array.from({ length: 20 }, (_, n) => n))
  })
})

/** A `fetch` whose every `nth` answer to a POST is lost after the server has given it. */
function losingAnswers(nth) {
  let posts = 0
  const lossy = async (url, init) => {
    const answer = await fetch(url, init)
    if (init?.method !== 'POST' || ++posts % nth !== 0) return answer
    await answer.arrayBuffer()
    lossy.lost++
    throw new TypeError('the connection was lost')
  }
  lossy.lost = 0
  return lossy
}

/** The client leaves it to its `fetch` to send a request again whose outcome is not known. */
function repeating(fetchOnce) {
  return async (url, init) => {
    for (let tries = 1; ; tries++) {
      const answer = await fetchOnce(url, init).catch((fault) => fault)
      const known = answer instanceof Response && answer.status < 500
      if (known || tries === 200) return answer instanceof Response ? answer : Promise.reject(answer)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

describe('an IdempotentProducer', () => {
  it('writes each message once, in order, though answers are lost', async () => {
    const stream = await jsonStream('producers/lossy')
    const lossy = losingAnswers(3)
    const faults = []
    const producer = new IdempotentProducer(stream, 'p', {
      fetch: repeating(lossy), lingerMs: 0, maxInFlight: 4, maxBatchBytes: 64, onError: (fault) => faults.push(fault),
    })
    for (let n = 0; n < 200; n++) producer.append(JSON.stringify({ n, fill: 'x'.repeat(20) }))
    await producer.flush()
    await producer.detach()
    expect(faults).toEqual([])
    expect(lossy.lost).toBeGreaterThan(10)
    expect((await messages(stream.url)).map(({ n }) => n)).toEqual(Array.from({ length: 200 }, (_, n) => n))
  })

  it('writes each message once, in order, though the server is killed and started in between', async () => {
    const stream = await jsonStream('producers/killed')
    const faults = []
    const producer = new IdempotentProducer(stream, 'p', {
      fetch: repeating(fetch), lingerMs: 0, maxInFlight: 1, onError: (fault) => faults.push(fault),
    })
    const writing = (async () => {
      for (let n = 0; n < 300; n++) {
        producer.append(JSON.stringify(n))
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    })()
    for (let restart = 0; restart < 3; restart++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      await server.restart('kill')
    }
    await writing
    await producer.flush()
    expect(faults).toEqual([])
    expect(await messages(stream.url)).toEqual(Array.from({ length: 300 }, (_, n) => n))
  })

  it('writes changes to a typed stream', async () => {
    const url = urlOf('netscript/workers/produced')
    const stream = new DurableStream({ url, contentType: 'application/json' })
    const producer = new IdempotentProducer(stream, 'mirror', { fetch: repeating(losingAnswers(2)), lingerMs: 1 })
    const written = {}
    for (let n = 0; n < 50; n++) {
      const value = execution(n % 10, { attempt: n })
      written[value.id] = value
      producer.append(JSON.stringify(change('execution', executionId(n % 10), value)))
      if (n % 7 === 0) await producer.flush()
    }
    await producer.flush()
    expect(Object.fromEntries((await materialized(url)).getType('execution'))).toEqual(written)
    expect(await messages(url)).toHaveLength(50)
  })

  it('is fenced by a newer one, and takes over where it claims', async () => {
    const stream = await jsonStream('producers/fenced')
    const faults = []
    const old = new IdempotentProducer(stream, 'p', { lingerMs: 0, onError: (fault) => faults.push(fault) })
    old.append('"old 1"')
    await old.flush()
    const claiming = new IdempotentProducer(stream, 'p', { epoch: 1, autoClaim: true, lingerMs: 0 })
    claiming.append('"new 1"')
    await claiming.flush()
    old.append('"old 2"')
    await old.flush().catch(() => {})
    await expect.poll(() => faults[0]).toBeInstanceOf(StaleEpochError)
    expect(faults[0].currentEpoch).toBe(1)
    const third = new IdempotentProducer(stream, 'p', { autoClaim: true, lingerMs: 0 })
    third.append('"third 1"')
    third.append('"third 2"')
    await third.flush()
    expect(third.epoch).toBe(2)
    expect(await messages(stream.url)).toEqual(['old 1', 'new 1', 'third 1', 'third 2'])
  })

  it('closes a stream with its last message, once', async () => {
    const stream = await jsonStream('producers/closed')
    const producer = new IdempotentProducer(stream, 'p', { lingerMs: 0, fetch: losingAnswers(2) })
    producer.append('"first"')
    await producer.flush()
    // The answer is lost; closing again is how the client asks for it.
    await expect(producer.close('"last"')).rejects.toThrow('lost')
    await producer.close('"last"')
    expect(await messages(stream.url)).toEqual(['first', 'last'])
    expect(await stream.head()).toMatchObject({ exists: true, streamClosed: true })
  })
})
