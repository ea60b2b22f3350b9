// A real EventSource: one change per message, resumed by `Last-Event-ID`, whatever is cut in between.

import { EventSource } from 'eventsource'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { execution, executionId, job } from './entities.mjs'
import { random } from './random.mjs'
import { Server } from './server.mjs'
import { Writers, bind, change, request } from './writers.mjs'

let server

beforeAll(async () => {
  server = await Server.start()
  await bind(server, 'workers', 'netscript/workers/**')
})

const open = []
afterEach(() => open.splice(0).forEach((view) => view.close()))
afterAll(() => server?.remove())

const OFFSET = /^[0-9a-f]{16}_[0-9a-f]{16}$/

/** What a page would do with an EventSource, and a record of all it was sent. */
class View {
  state
  messages = []
  /** The id and the state at each `ready`. */
  marks = []
  /** The same at each message and each `ready`. */
  places = []
  resets = 0
  /** `Last-Event-ID` of each request; null where there was none. */
  resumed = []

  /**
   * `cut` ends a response's body: given how many requests were made, after how many bytes; nothing lets it be.
   * `state` is what the view begins with, where it resumes.
   */
  constructor(url, { cut, state = {} } = {}) {
    open.push(this)
    this.state = new Map(Object.entries(state))
    this.source = new EventSource(url, {
      fetch: async (target, init) => {
        this.resumed.push(new Headers(init.headers).get('last-event-id'))
        const answer = await fetch(target, init)
        return impatient(answer, cut?.(this.resumed.length))
      },
    })
    this.source.onmessage = ({ data, lastEventId }) => {
      const { type, key, value, ...rest } = JSON.parse(data)
      this.messages.push({ id: lastEventId, type, key, value, ...rest })
      if (value === undefined) this.state.delete(`${type}/${key}`)
      else this.state.set(`${type}/${key}`, value)
      this.places.push({ id: lastEventId, state: this.entities })
    }
    this.source.addEventListener('ready', ({ lastEventId }) => {
      this.marks.push({ id: lastEventId, state: this.entities })
      this.places.push(this.marks.at(-1))
    })
    this.source.addEventListener('reset', () => {
      this.resets++
      this.state.clear()
    })
  }

  get entities() {
    return Object.fromEntries(this.state)
  }

  close() {
    this.source.close()
  }
}

/** The answer with a first line that makes an EventSource reconnect soon, and cut after `bytes` of its own. */
function impatient(answer, bytes = Infinity) {
  if (answer.status !== 200) return answer
  const body = new ReadableStream({
    async start(controller) {
      controller.enqueue(new TextEncoder().encode('retry: 20\n\n'))
      let left = bytes
      const reader = answer.body.getReader()
      try {
        for (let part; left > 0 && !(part = await reader.read()).done; left -= part.value.length) {
          controller.enqueue(part.value.subarray(0, left))
        }
        await reader.cancel()
        controller.close()
      } catch (fault) {
        controller.error(fault)
      }
    },
  })
  const response = new Response(body, { status: answer.status, headers: answer.headers })
  Object.defineProperty(response, 'url', { value: answer.url })
  return response
}

/** What the writers made, with keys as a view has them. */
const written = (writers) =>
  Object.fromEntries(
    ['execution', 'job'].flatMap((type) =>
      Object.entries(writers.entities(type)).map(([key, value]) => [`${type}/${key}`, value]),
    ),
  )

/** Waits until a view has said `ready` with exactly the state that was written. */
async function ready(view, writers) {
  await expect.poll(() => view.marks.at(-1)?.state, { timeout: 15_000, interval: 10 }).toEqual(written(writers))
}

/** Ids grow, so nothing was seen twice and nothing out of order. */
function seenOnce(view) {
  const ids = view.messages.map(({ id }) => id)
  for (const id of ids) expect(id).toMatch(OFFSET)
  const places = ids.map((id) => id.slice(0, 16))
  expect(places).toEqual([...new Set(places)].sort())
}

const VIEWS = [
  ['/-/events', (stream) => `${server.url}/v1/state/${stream}/-/events`],
  ['the stream itself', (stream) => `${server.url}/v1/stream/${stream}`],
]

describe.each(VIEWS)('an EventSource on %s of a typed stream', (name, urlOf) => {
  const stream = (what) => `netscript/workers/${name.replaceAll(/\W+/g, '-')}/${what}`

  it('is given a snapshot, then every change, and says when it is ready', async () => {
    const writers = new Writers(server, stream('follow'))
    await writers.put('job', 'job-1', job(1))
    await writers.put('job', 'job-1', job(1, { name: 'Newer' }))
    await writers.put('job', 'job-2', job(2))
    await writers.delete('job', 'job-2')
    const view = new View(urlOf(writers.stream))
    await ready(view, writers)
    expect(view.messages.map(({ key }) => key)).toEqual(['job-1'])
    await writers.put('execution', executionId(1), execution(1))
    await writers.delete('job', 'job-1')
    await ready(view, writers)
    seenOnce(view)
  })

  it('on a stream never written is ready at once, and then shows the first write', async () => {
    const writers = new Writers(server, stream('unwritten'))
    const view = new View(urlOf(writers.stream))
    await ready(view, writers)
    await writers.put('job', 'job-1', job(1))
    await ready(view, writers)
  })

  it.each(['stop', 'kill'])('resumes when the server is started again after a %s', async (how) => {
    const writers = new Writers(server, stream(how))
    for (let n = 0; n < 20; n++) await writers.put('execution', executionId(n % 8), execution(n % 8, { attempt: n }))
    const view = new View(urlOf(writers.stream))
    await ready(view, writers)
    const before = view.messages.length
    const last = view.marks.at(-1).id
    await server.restart(how)
    await writers.put('execution', executionId(3), execution(3, { attempt: 100 }))
    await writers.delete('execution', executionId(4))
    await ready(view, writers)
    expect(view.resumed[0]).toBeNull()
    expect(view.resumed.slice(1)).toContain(last)
    // What was known is not sent again: only what changed while it was away.
    expect(view.messages.slice(before).map(({ key }) => key)).toEqual([executionId(3), executionId(4)])
    seenOnce(view)
    expect(view.resets).toBe(0)
  })

  it('a late one resumes at any id that another was given', async () => {
    const writers = new Writers(server, stream('late'))
    for (let n = 0; n < 6; n++) await writers.put('execution', executionId(n), execution(n))
    const first = new View(urlOf(writers.stream))
    await ready(first, writers)
    await writers.put('execution', executionId(2), execution(2, { attempt: 5 }))
    await ready(first, writers)
    await writers.delete('execution', executionId(5))
    await ready(first, writers)
    for (const { id, state } of first.places) {
      const late = new View(`${urlOf(writers.stream)}?offset=${id}`, { state })
      await ready(late, writers)
      late.close()
    }
  })

  it.each([1, 2, 3, 4])('cut at random places while others write, it converges and sees nothing twice (seed %i)', async (seed) => {
    const next = random(seed)
    const writers = new Writers(server, stream(`cut-${seed}`))
    for (let n = 0; n < 30; n++) await writers.put('execution', executionId(n), execution(n))
    // Some cuts fall into the first snapshot, some into the changes after it.
    const view = new View(urlOf(writers.stream), {
      cut: (requests) => (requests < 40 ? 1 + Math.floor(next() * 6_000) : undefined),
    })
    for (let n = 0; n < 120; n++) {
      const number = Math.floor(next() * 40)
      const known = writers.entities('execution')[executionId(number)] !== undefined
      if (known && next() < 0.2) await writers.delete('execution', executionId(number))
      else await writers.put('execution', executionId(number), execution(number, { attempt: n }))
      if (n === 60) await server.restart('kill')
    }
    await ready(view, writers)
    expect(view.resumed.length).toBeGreaterThan(5)
    seenOnce(view)
    expect(view.resets).toBe(0)
  })
})

it('filters by type and by key prefix, and is refused a type that the schema does not have', async () => {
  const writers = new Writers(server, 'netscript/workers/filtered')
  await writers.batch([
    change('execution', executionId(1), execution(1)),
    change('job', 'job-1', job(1)),
    change('job', 'other-1', job(1, { id: 'other-1' })),
  ])
  const url = `${server.url}/v1/state/${writers.stream}/-/events`
  const keys = async (query) => {
    const view = new View(`${url}?${query}`)
    await expect.poll(() => view.marks.length).toBe(1)
    return view.messages.map(({ key }) => key)
  }
  expect(await keys('type=job')).toEqual(['job-1', 'other-1'])
  expect(await keys('type=job&key_prefix=job-')).toEqual(['job-1'])
  expect(await keys(`key=${executionId(1)}`)).toEqual([executionId(1)])
  await request(`${url}?type=jobs`, { headers: { accept: 'text/event-stream' } }, [400])
})

it('an id that is not an offset is refused', async () => {
  const writers = new Writers(server, 'netscript/workers/ids')
  await writers.put('job', 'job-1', job(1))
  const url = `${server.url}/v1/state/${writers.stream}/-/events`
  await request(url, { headers: { accept: 'text/event-stream', 'last-event-id': '17' } }, [400])
})

describe('an EventSource on a stream that is not typed', () => {
  const JSON_TYPE = { 'content-type': 'application/json' }
  const append = (url, value) => request(url, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify([value]) })

  /** Every message's data, in order. */
  function texts(url) {
    const found = { data: [], statuses: [], close: () => source.close() }
    const source = new EventSource(url, {
      fetch: async (target, init) => {
        const answer = await fetch(target, init)
        found.statuses.push(answer.status)
        return impatient(answer)
      },
    })
    source.onmessage = ({ data }) => found.data.push(JSON.parse(data))
    found.source = source
    open.push(found)
    return found
  }

  it('is sent every message, across a restart, until the stream is closed', async () => {
    const url = `${server.url}/v1/stream/chats/events`
    await request(url, { method: 'PUT', headers: JSON_TYPE })
    for (let n = 0; n < 10; n++) await append(url, { n })
    const chat = texts(url)
    await expect.poll(() => chat.data.length).toBe(10)
    await server.restart()
    for (let n = 10; n < 20; n++) await append(url, { n })
    await expect.poll(() => chat.data.length, { timeout: 10_000 }).toBe(20)
    await request(url, { method: 'POST', headers: { ...JSON_TYPE, 'stream-closed': 'true' }, body: '[{"n":20}]' })
    await expect.poll(() => chat.data.length).toBe(21)
    expect(chat.data).toEqual(Array.from({ length: 21 }, (_, n) => ({ n })))
    // The reconnect after the end is answered 204, which ends an EventSource for good.
    await expect.poll(() => chat.source.readyState, { timeout: 10_000 }).toBe(EventSource.CLOSED)
    expect(chat.statuses.at(-1)).toBe(204)
  })
})
