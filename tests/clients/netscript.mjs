// The requests and reactions of NetScript's producer (plugin-streams-core 0.0.5): what it sends, in which order, and
// what each answer makes it do. It is written anew here because the package is not published for node.
//
// It begins at epoch 0, seq 0 in every process and never reads its state back; writes wait in a buffer and go out
// strictly one at a time.

const BUFFER = 256
const TRIES = 8
const TIMEOUT_MS = 5_000
const REPEATED = new Set([408, 429])

/** How long it waits after a try that failed: 12 s in all before the eighth. */
export const retryMs = (tries) => Math.min(100 * 2 ** tries, 3_000)

export class NetScriptProducer {
  /** What became of every change that was delivered: `{change, status}`. */
  receipts = []
  /** The answer that killed the producer, if one did. */
  dead
  /** Changes that were given up. */
  lost = []
  #queue = []
  #draining

  constructor(url, id, { waitMs = retryMs, timeoutMs = TIMEOUT_MS } = {}) {
    Object.assign(this, { url, id, waitMs, timeoutMs, epoch: 0, seq: 0 })
  }

  /** Buffers a change; false when the buffer is full. */
  enqueue(change) {
    if (this.dead || this.#queue.length >= BUFFER) return false
    this.#queue.push(change)
    this.#draining ??= this.#drain().finally(() => (this.#draining = undefined))
    return true
  }

  /** Resolves when the buffer is empty, or given up. */
  async flush() {
    while (this.#draining) await this.#draining
  }

  get full() {
    return this.#queue.length >= BUFFER
  }

  get buffered() {
    return this.#queue.length
  }

  async #drain() {
    await this.#put().catch(() => {})
    while (this.#queue.length > 0 && !this.dead) {
      const change = this.#queue[0]
      const status = await this.#deliver(change)
      this.#queue.shift()
      if (status !== undefined) this.receipts.push({ change, status })
      else this.lost.push(change, ...(this.dead ? this.#queue.splice(0) : []))
    }
  }

  /** The status of the answer that delivered the change, or nothing. */
  async #deliver(change) {
    for (let tries = 0; tries < TRIES; ) {
      const answer = await this.#post(JSON.stringify([change])).catch(() => undefined)
      if (answer?.status === 200 || answer?.status === 204) {
        this.seq++
        return answer.status
      }
      if (answer?.status === 403) {
        this.epoch = Number(answer.headers.get('producer-epoch')) + 1
        this.seq = 0
        continue
      }
      if (answer && answer.status < 500 && !REPEATED.has(answer.status)) {
        this.dead = { status: answer.status, text: await answer.text() }
        return undefined
      }
      if (++tries === TRIES) break
      await new Promise((resolve) => setTimeout(resolve, this.waitMs(tries)))
      await this.#put().catch(() => {})
    }
    return undefined
  }

  async #put() {
    const init = { method: 'PUT', headers: { 'content-type': 'application/json' } }
    const answer = await fetch(this.url, { ...init, signal: AbortSignal.timeout(this.timeoutMs) })
    if (!answer.ok && answer.status !== 409) throw new Error(`PUT: ${answer.status}`)
  }

  #post(body, headers = {}) {
    return fetch(this.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'producer-id': this.id,
        'producer-epoch': String(this.epoch),
        'producer-seq': String(this.seq),
        ...headers,
      },
      body,
      signal: AbortSignal.timeout(this.timeoutMs),
    })
  }

  /** What its command line does after a publish. */
  async close() {
    await this.flush()
    const answer = await fetch(this.url, { method: 'POST', headers: { 'stream-closed': 'true' } })
    return answer.status
  }
}

let traces = 0

/** Headers as its services send them. */
export function traced() {
  const id = String(++traces).padStart(32, '0')
  return { correlationId: `corr-${traces}`, traceparent: `00-${id}-${id.slice(-16)}-01` }
}

const TRACEPARENT = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/i

/** What its SSE v1 reader refuses in a frame; empty where the frame is fine. */
export function frameFaults(event, text) {
  if (event === 'control') return typeof JSON.parse(text).streamNextOffset === 'string' ? [] : ['no offset']
  if (event !== 'data') return [`event ${event}`]
  const changes = JSON.parse(text)
  if (!Array.isArray(changes) || changes.length === 0) return ['not a non-empty array']
  return changes.flatMap(({ type, key, headers, ...rest }) => [
    ...(typeof type === 'string' && typeof key === 'string' ? [] : ['not a change']),
    ...(typeof headers?.correlationId === 'string' ? [] : [`${key}: no correlationId`]),
    ...(TRACEPARENT.test(headers?.traceparent ?? '') ? [] : [`${key}: traceparent ${headers?.traceparent}`]),
    ...(headers?.operation === 'delete' && Object.hasOwn(rest, 'value') ? [`${key}: a delete with a value`] : []),
  ])
}
