// A stream at a URL, and the ways of the base protocol to write and read it.

import { setTimeout as sleep } from 'node:timers/promises'

import { events } from './sse.mjs'
import { isControl, short } from './messages.mjs'

const JSON_TYPE = { 'content-type': 'application/json' }

/** An answer that is not what the protocol lets a server say here. */
export class Unexpected extends Error {}

/** A reader gave up before it had what it waited for. */
export class Starved extends Error {}

export class Stream {
  /** `headers` go with every request; `signal` ends everything that is still open. */
  constructor(url, { headers = {}, signal }) {
    Object.assign(this, { url, headers, signal })
  }

  async fetch(query, init = {}) {
    const target = new URL(this.url)
    for (const [name, value] of Object.entries(query)) if (value !== undefined) target.searchParams.set(name, value)
    const signal = init.signal ? AbortSignal.any([this.signal, init.signal]) : this.signal
    return fetch(target, { ...init, headers: { ...this.headers, ...init.headers }, signal })
  }

  async #expect(what, answer, statuses) {
    if (statuses.includes(answer.status)) return answer
    throw new Unexpected(
      `${what}: ${answer.status}, not ${statuses.join(' or ')}: ${(await answer.text()).slice(0, 400)}`,
    )
  }

  /** §5.1 of the base protocol; `messages` become its first content. */
  async create(messages, headers = {}) {
    const body = messages === undefined ? undefined : JSON.stringify(messages)
    const answer = await this.fetch({}, { method: 'PUT', headers: { ...JSON_TYPE, ...headers }, body })
    await (await this.#expect('PUT', answer, [200, 201])).arrayBuffer()
    return this
  }

  /** Sends a body as it is; the answer is returned whatever it is. */
  async post(body, headers = {}) {
    const answer = await this.fetch({}, { method: 'POST', headers: { ...JSON_TYPE, ...headers }, body })
    return {
      status: answer.status,
      ok: answer.ok,
      offset: answer.headers.get('stream-next-offset'),
      text: await answer.text(),
    }
  }

  /** Appends messages; resolves with the offset behind them. */
  async append(messages, headers = {}) {
    const answer = await this.post(JSON.stringify(messages), headers)
    if (![200, 204].includes(answer.status)) {
      throw new Unexpected(`POST of ${short(messages)}: ${answer.status}: ${answer.text.slice(0, 400)}`)
    }
    return answer.offset
  }

  async close() {
    const answer = await this.fetch({}, { method: 'POST', headers: { 'stream-closed': 'true' } })
    await (await this.#expect('closing', answer, [200, 204])).arrayBuffer()
  }

  async delete() {
    const answer = await this.fetch({}, { method: 'DELETE' })
    await answer.arrayBuffer()
    return answer.status
  }

  async head() {
    const answer = await this.#expect('HEAD', await this.fetch({}, { method: 'HEAD' }), [200])
    return place(answer)
  }

  /** One catch-up read (§5.6). */
  async page(offset = '-1') {
    const answer = await this.#expect('GET', await this.fetch({ offset }), [200])
    return { ...place(answer), messages: await messagesOf(answer) }
  }

  /** Everything after an offset, page by page, up to the tail. */
  async read(offset = '-1') {
    const messages = []
    for (let pages = 0; ; pages++) {
      const page = await this.page(offset)
      messages.push(...page.messages)
      if (page.upToDate || page.closed)
        return { messages, offset: page.offset, closed: page.closed, pages: pages + 1 }
      if (page.offset === offset)
        throw new Unexpected(`a read from ${offset} neither moves on nor says Stream-Up-To-Date`)
      offset = page.offset
    }
  }

  /** Batches as they come, by `long-poll` or `sse`: `{messages, offset, upToDate, closed}`; ends when the stream does. */
  follow(live, offset = '-1', options = {}) {
    return live === 'sse' ? this.#sse(offset, options) : this.#longPoll(offset)
  }

  /** Follows until `count` changes have come; server-sent control messages are not counted. */
  async collect(live, count, offset = '-1', options = {}) {
    const messages = []
    let place = offset
    const counts = options.controls ? () => true : (message) => !isControl(message)
    try {
      for await (const batch of this.follow(live, offset, options)) {
        messages.push(...batch.messages)
        place = batch.offset
        if (messages.filter(counts).length >= count) return { messages, offset: place, closed: batch.closed }
      }
    } catch (fault) {
      if (!this.signal.aborted) throw fault
      throw new Starved(`${live}: ${messages.filter(counts).length} of ${count} messages came before the time was up`)
    }
    if (count !== Infinity)
      throw new Starved(`${live}: the stream ended after ${messages.length} of ${count} messages`)
    return { messages, offset: place, closed: true }
  }

  /** §5.7. */
  async *#longPoll(offset) {
    for (let cursor; ;) {
      const query = { offset, live: 'long-poll', cursor }
      const answer = await this.#expect('long-poll', await this.fetch(query), [200, 204])
      const where = place(answer)
      const messages = answer.status === 204 ? [] : await messagesOf(answer)
      if (where.offset === null) throw new Unexpected(`long-poll: ${answer.status} without Stream-Next-Offset`)
      offset = where.offset
      cursor = answer.headers.get('stream-cursor') ?? undefined
      yield { ...where, messages }
      if (where.closed && (answer.status === 204 || where.upToDate)) return
    }
  }

  /**
   * §5.8. A batch counts once its control event has come, because only that tells where to go on; a response that ends is
   * opened again there. `cut(n)` says after how many bytes the nth response is to be cut, if at all.
   */
  async *#sse(offset, { cut = () => Infinity } = {}) {
    for (let responses = 1; ; responses++) {
      const abort = new AbortController()
      const query = { offset, live: 'sse' }
      const init = { headers: { accept: 'text/event-stream' }, signal: abort.signal }
      const answer = await this.#expect('SSE', await this.fetch(query, init), [200])
      const type = answer.headers.get('content-type') ?? ''
      if (!type.startsWith('text/event-stream')) throw new Unexpected(`SSE came as ${type}`)
      try {
        let pending = []
        for await (const { event, data } of events(shortened(answer.body, cut(responses)))) {
          if (event === 'data') pending.push(...parsed(data, 'an SSE data event'))
          if (event !== 'control') continue
          const { streamNextOffset, upToDate = false, streamClosed = false } = JSON.parse(data)
          if (typeof streamNextOffset !== 'string') throw new Unexpected(`a control event without an offset: ${data}`)
          offset = streamNextOffset
          yield { messages: pending, offset, upToDate: upToDate || streamClosed, closed: streamClosed }
          pending = []
          if (streamClosed) return
        }
      } finally {
        abort.abort()
      }
      await sleep(10, undefined, { signal: this.signal })
    }
  }
}

/** Where an answer leaves its reader. */
function place({ headers }) {
  return {
    offset: headers.get('stream-next-offset'),
    upToDate: headers.get('stream-up-to-date') === 'true',
    closed: headers.get('stream-closed') === 'true',
  }
}

async function messagesOf(answer) {
  return parsed(await answer.text(), 'a body')
}

function parsed(text, what) {
  let messages
  try {
    messages = JSON.parse(text)
  } catch (fault) {
    throw new Unexpected(`${what} is not JSON (${fault.message}): ${text.slice(0, 200)}`)
  }
  if (!Array.isArray(messages)) throw new Unexpected(`${what} is not an array: ${text.slice(0, 200)}`)
  return messages
}

/** The first bytes of a body. */
async function* shortened(body, bytes) {
  for await (const chunk of body) {
    yield chunk.subarray(0, Math.max(0, bytes))
    if ((bytes -= chunk.length) <= 0) return
  }
}
