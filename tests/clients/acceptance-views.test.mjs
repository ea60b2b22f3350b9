// The acceptance cases about views: 5 and 9 of the ten (the others are in `acceptance.test.mjs`), and the two services that
// read the same views in their own way.

import { DurableStream } from '@durable-streams/client'
import { EventSource } from 'eventsource'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { cuttingProxy } from './cutting.mjs'
import { authSession, execution, executionId, job, session } from './entities.mjs'
import { NetScriptProducer, traced } from './netscript.mjs'
import { random } from './random.mjs'
import { messages, rows, shows, stateSchema, streamDB } from './readers.mjs'
import { Server } from './server.mjs'
import { Writers, bind, change, request } from './writers.mjs'

const HEARTBEAT_MS = 500

let server

beforeAll(async () => {
  const args = ['--long-poll-ms', '500', '--heartbeat-ms', String(HEARTBEAT_MS), '--root-mount', 'netscript/']
  server = await Server.start({ args })
  await bind(server, 'auth', 'netscript/auth/**', {
    validation: 'quarantine',
    producers: 'epoch_floor',
    close: 'ignore',
  })
  await bind(server, 'workers', 'netscript/workers/**', {
    validation: 'quarantine',
    producers: 'epoch_floor',
    close: 'ignore',
  })
  await bind(server, 'sessions', 'netscript/sessions/**')
})

const open = []
afterEach(() => open.splice(0).forEach((source) => source.close()))
afterAll(() => server?.remove())

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function produce(path, changes) {
  const producer = new NetScriptProducer(`${server.url}/v1/stream/netscript/${path}`, 'mirror')
  for (const one of changes) producer.enqueue(one)
  await producer.flush()
  expect({ dead: producer.dead, lost: producer.lost }).toEqual({ dead: undefined, lost: [] })
}

describe('case 5: what was written for other servers works at the root, as written', () => {
  /** `netscript auth session list`, as it asks. */
  async function sessionList(base) {
    const answer = await fetch(`${base}/auth/sessions`, { headers: { accept: 'application/json' } })
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`)
    return (await answer.json()).collections.authSession
  }

  it('`auth session list` lists the sessions, and only those that are left', async () => {
    expect(await sessionList(server.url)).toEqual([])
    const sessions = ['s1', 's2', 's3'].map((id) => authSession(id))
    await produce(
      'auth/sessions',
      sessions.map((value) => change('auth-session', value.id, value, traced())),
    )
    await produce('auth/sessions', [
      change('auth-session', 's2', undefined, traced()),
      change('auth-session', 's3', authSession('s3', { state: 'revoked' }), traced()),
    ])
    const listed = await sessionList(server.url)
    expect(listed.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual([
      sessions[0],
      authSession('s3', { state: 'revoked' }),
    ])
    await server.restart('kill')
    expect((await sessionList(server.url)).map(({ id }) => id).sort()).toEqual(['s1', 's3'])
  })

  it('the plain EventSource snippet shows every execution, live', async () => {
    const base = server.url
    const view = new Map()
    // The snippet.
    const source = new EventSource(base + '/workers/executions')
    source.onmessage = (ev) => {
      const { key, value } = JSON.parse(ev.data)
      if (value === undefined) view.delete(key)
      else view.set(key, value)
    }
    open.push(source)
    const upsert = (n, members) => change('execution', executionId(n), execution(n, members), traced())
    await produce('workers/executions', [upsert(1), upsert(2), upsert(1, { status: 'completed' })])
    await expect
      .poll(() => Object.fromEntries(view))
      .toEqual({
        [executionId(1)]: execution(1, { status: 'completed' }),
        [executionId(2)]: execution(2),
      })
    await produce('workers/executions', [change('execution', executionId(2), undefined, traced()), upsert(3)])
    await expect.poll(() => [...view.keys()].sort()).toEqual([executionId(1), executionId(3)])
  })
})

/** A view as a page would have it, with what it was sent and where it stood at each `ready`. */
function viewed(url) {
  const view = { state: new Map(), seen: [], marks: [], resets: 0, errors: 0, close: () => source.close() }
  const source = new EventSource(url, { fetch: impatiently })
  source.onmessage = ({ data, lastEventId }) => {
    const { type, key, value } = JSON.parse(data)
    view.seen.push({ id: lastEventId, type, key, value })
    if (value === undefined) view.state.delete(key)
    else view.state.set(key, value)
  }
  source.addEventListener('ready', ({ lastEventId }) =>
    view.marks.push({ id: lastEventId, state: Object.fromEntries(view.state) }),
  )
  source.addEventListener('reset', () => view.resets++ || view.state.clear())
  source.onerror = () => view.errors++
  open.push(view)
  return view
}

/** Has an EventSource reconnect after 10 ms instead of its 3 s; the bytes of the server stay as they are. */
async function impatiently(url, init) {
  const answer = await fetch(url, init)
  if (answer.status !== 200) return answer
  const { readable, writable } = new TransformStream()
  const writer = writable.getWriter()
  writer.write(new TextEncoder().encode('retry: 10\n\n')).catch(() => {})
  writer.releaseLock()
  answer.body.pipeTo(writable).catch(() => {})
  const response = new Response(readable, { status: 200, headers: answer.headers })
  Object.defineProperty(response, 'url', { value: answer.url })
  return response
}

const place = (id) => id.slice(0, 16)

describe.each([1, 2, 3])('case 9: an EventSource whose connections are cut at random places (seed %i)', (seed) => {
  it('sees no change twice, misses none but superseded ones, and is right at every `ready`', async () => {
    const next = random(seed)
    const path = `netscript/workers/cut-${seed}`
    const writers = new Writers(server, path)
    // What the state was from an offset on, as the writers were told.
    const history = []
    const write = async (n, attempt) => {
      const known = writers.entities('execution')[executionId(n)] !== undefined
      const answer =
        known && next() < 0.2
          ? await writers.delete('execution', executionId(n))
          : await writers.put('execution', executionId(n), execution(n, { attempt }))
      history.push({
        offset: place(answer.headers.get('stream-next-offset') ?? answer.json().offset),
        state: writers.entities('execution'),
      })
    }
    for (let n = 0; n < 40; n++) await write(n, 0)
    // An EventSource that was never answered knows no `retry`, and would wait 3 s.
    const proxy = await cuttingProxy(server.url, { seed, bytesMax: 9_000, firstMin: 1_000 })
    const view = viewed(`${proxy.url}/v1/state/${path}/-/events`)
    for (let n = 0; n < 150; n++) {
      await write(Math.floor(next() * 50), n)
      if (n === 75) await server.restart('kill')
      await sleep(next() * 10)
    }
    proxy.calm()
    const end = history.at(-1)
    await expect.poll(() => view.marks.at(-1)?.state, { timeout: 20_000 }).toEqual(end.state)
    view.close()
    expect(proxy.cuts).toBeGreaterThan(5)
    expect(view.resets).toBe(0)

    // No change twice, and none out of order.
    const places = view.seen.map(({ id }) => place(id))
    expect(places).toEqual([...new Set(places)].sort())
    // Each is a change that somebody made.
    const log = await messages(writers.streamUrl)
    const made = new Set(log.map(({ key, value }) => JSON.stringify([key, value ?? null])))
    for (const { key, value } of view.seen) expect(made).toContain(JSON.stringify([key, value ?? null]))
    // None is missing but superseded ones: what was newest at a mark had been seen by then.
    for (const { id, state } of view.marks) {
      const last = history.findLast(({ offset }) => offset <= place(id))
      expect(state, `at ${id}`).toEqual(last?.state ?? {})
    }
    expect(view.marks.length).toBeGreaterThan(0)
    await proxy.close()
  })
})

it('claude-code-ui: a daemon that starts again inserts every session again, and its board reads `/sessions`', async () => {
  // Neither knows of `/v1/stream`.
  const url = `${server.url}/sessions/daemon`
  const { sessions: events } = await stateSchema('sessions')
  const board = await streamDB(url, 'sessions', { live: 'sse' })
  await board.preload()
  expect(rows(board, 'sessions')).toEqual({})
  for (let start = 1; start <= 3; start++) {
    const daemon = new DurableStream({ url, contentType: 'application/json', batching: false })
    const send = (event) => daemon.append(JSON.stringify(event))
    for (const id of ['a1', 'b2']) await send(events.insert({ value: session(id, { messageCount: start }) }))
    const busy = session('a1', { messageCount: start + 10, status: 'waiting' })
    await send(events.update({ value: busy, oldValue: session('a1', { messageCount: start }) }))
    await shows(board, { sessions: { a1: busy, b2: session('b2', { messageCount: start }) } })
    if (start === 2) await server.restart()
  }
  board.close()
})

describe('Compozy', () => {
  const accept = { accept: 'text/event-stream' }
  let writers

  beforeAll(async () => {
    writers = new Writers(server, 'netscript/workers/compozy')
    await writers.put('job', 'job-1', job(1))
    await writers.put('execution', executionId(1), execution(1))
  })

  const urlOf = (query = '') => `${server.url}/workers/compozy${query}`

  /** The raw text of a response until it holds what is waited for, and when each part of it came. */
  async function text(url, enough, headers = {}) {
    const abort = new AbortController()
    const began = performance.now()
    const answer = await fetch(url, { headers: { ...accept, ...headers }, signal: abort.signal })
    let [found, firstMs] = ['', undefined]
    try {
      for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
        firstMs ??= performance.now() - began
        found += chunk
        if (enough(found)) break
      }
    } finally {
      abort.abort()
    }
    return { text: found, firstMs, headers: answer.headers }
  }

  it('is given `id` and `data` lines, and an `event` line where it is not a message', async () => {
    const { text: found } = await text(urlOf(), (so) => so.includes('ready') && so.endsWith('\n\n'))
    const frames = found.split('\n\n').filter((frame) => frame.includes('data:'))
    for (const frame of frames) {
      for (const line of frame.split('\n')) expect(line).toMatch(/^(id|event|data|retry):|^:/)
      expect(frame).toMatch(/^id: ?\S+$/m)
    }
    const data = frames
      .filter((frame) => !/^event:/m.test(frame))
      .map((frame) => JSON.parse(/^data: ?(.*)$/m.exec(frame)[1]))
    expect(data.map(({ key }) => key).sort()).toEqual([executionId(1), 'job-1'].sort())
  })

  it('resumes with `Last-Event-ID`', async () => {
    const { text: found } = await text(urlOf(), (so) => so.includes('ready') && so.endsWith('\n\n'))
    const id = [...found.matchAll(/^id: ?(\S+)$/gm)].at(-1)[1]
    await writers.put('job', 'job-2', job(2))
    const { text: rest } = await text(urlOf(), (so) => so.includes('ready') && so.endsWith('\n\n'), {
      'last-event-id': id,
    })
    expect([...rest.matchAll(/"key":"([^"]+)"/g)].map(([, key]) => key)).toEqual(['job-2'])
  })

  it.each(['17', 'abc', '-2', 'x'.repeat(2_000)])('is answered 400 for the `Last-Event-ID` %s', async (id) => {
    await request(urlOf(), { headers: { ...accept, 'last-event-id': id } }, [400])
  })

  it('is answered 400 where its allow-list has a name that nobody knows', async () => {
    await request(urlOf('?type=job&type=rocket'), { headers: accept }, [400])
    const { text: found } = await text(urlOf('?type=job'), (so) => so.includes('ready'))
    expect(found).not.toContain(executionId(1))
  })

  it('is given headers that keep caches and proxies from holding events back', async () => {
    const { headers } = await text(urlOf(), () => true)
    expect(headers.get('content-type')).toMatch(/^text\/event-stream/)
    expect(headers.get('cache-control')).toContain('no-cache')
    expect(headers.get('x-accel-buffering')).toBe('no')
    expect(headers.get('content-encoding')).toBeNull()
  })

  it('hears a comment when nothing happens', async () => {
    const beats = (so) => [...so.matchAll(/^:/gm)].length
    const { text: found } = await text(urlOf(), (so) => beats(so) >= 2)
    expect(beats(found)).toBeGreaterThanOrEqual(2)
  })

  it('is given its first event in less than a second', async () => {
    const times = []
    for (let n = 0; n < 20; n++) times.push((await text(urlOf(), (so) => so.includes('data:'))).firstMs)
    times.sort((a, b) => a - b)
    console.info(`first event: p50 ${times[9].toFixed(1)} ms, p95 ${times[18].toFixed(1)} ms`)
    expect(times[9]).toBeLessThan(1_000)
    expect(times[18]).toBeLessThan(2_000)
  })
})
