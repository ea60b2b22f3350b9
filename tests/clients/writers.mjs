// The doors into a typed stream, and an oracle: the state that the writers were told they made.
//
// The oracle never reads from the server, and shares no code with it.

import { readFile } from 'node:fs/promises'

const JSON_TYPE = { 'content-type': 'application/json' }

/** A published document. */
export async function document(subject) {
  return JSON.parse(await readFile(new URL(`../../schemas/documents/${subject}.json`, import.meta.url), 'utf8'))
}

/** Sends a request; throws with the whole answer unless it has one of the statuses. */
export async function request(url, init = {}, statuses = [200, 201, 204]) {
  const answer = await fetch(url, init)
  const text = await answer.text()
  if (!statuses.includes(answer.status)) {
    throw new Error(`${init.method ?? 'GET'} ${url}: ${answer.status}, not ${statuses.join(' or ')}\n${text}`)
  }
  return { status: answer.status, headers: answer.headers, text, json: () => JSON.parse(text) }
}

/** Registers a published document, and binds the streams of a pattern to it. */
export async function bind(server, subject, pattern, members = {}) {
  const text = JSON.stringify(await document(subject))
  await request(`${server.url}/v1/schemas/${subject}/versions`, { method: 'POST', headers: JSON_TYPE, body: text })
  const name = pattern.replaceAll(/[^A-Za-z0-9]+/g, '-')
  const body = JSON.stringify({ pattern, subject, ...members })
  await request(`${server.url}/v1/bindings/${name}`, { method: 'PUT', headers: JSON_TYPE, body })
}

/** What the server says the state is. */
export async function snapshot(server, stream) {
  return (await request(`${server.url}/v1/state/${stream}/-/snapshot`)).json()
}

/** RFC 7396. */
function merge(target, patch) {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch
  const merged = target !== null && typeof target === 'object' && !Array.isArray(target) ? { ...target } : {}
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name]
    else merged[name] = merge(merged[name], value)
  }
  return merged
}

/** Changes as a client would make them: an upsert, or a delete where there is no value. */
export function change(type, key, value, headers = {}) {
  return value === undefined
    ? { type, key, headers: { operation: 'delete', ...headers } }
    : { type, key, value, headers: { operation: 'upsert', ...headers } }
}

/** Writes through every door, and remembers what became of it. */
export class Writers {
  /** Entity type → key → value. */
  state = new Map()

  constructor(server, stream) {
    this.server = server
    this.stream = stream
  }

  #apply(type, key, value) {
    if (!this.state.has(type)) this.state.set(type, new Map())
    if (value === undefined) this.state.get(type).delete(key)
    else this.state.get(type).set(key, value)
  }

  /** The state of a type, as an object. */
  entities(type) {
    return Object.fromEntries(this.state.get(type) ?? [])
  }

  get streamUrl() {
    return `${this.server.url}/v1/stream/${this.stream}`
  }

  #stateUrl(rest) {
    return `${this.server.url}/v1/state/${this.stream}/-/${rest}`
  }

  #entityUrl(type, key) {
    return this.#stateUrl(`entities/${encodeURIComponent(type)}/${encodeURIComponent(key)}`)
  }

  async put(type, key, value) {
    const body = JSON.stringify(value)
    const answer = await request(this.#entityUrl(type, key), { method: 'PUT', headers: JSON_TYPE, body })
    if (answer.json().applied) this.#apply(type, key, value)
    return answer
  }

  async patch(type, key, patch) {
    const headers = { 'content-type': 'application/merge-patch+json' }
    const answer = await request(this.#entityUrl(type, key), { method: 'PATCH', headers, body: JSON.stringify(patch) })
    if (answer.json().applied) this.#apply(type, key, merge(this.state.get(type)?.get(key), patch))
    return answer
  }

  async delete(type, key) {
    const answer = await request(this.#entityUrl(type, key), { method: 'DELETE' })
    this.#apply(type, key, undefined)
    return answer
  }

  /** `POST` of the protocol. */
  async post(changes) {
    const answer = await request(this.streamUrl, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(changes) })
    for (const { type, key, value } of changes) this.#apply(type, key, value)
    return answer
  }

  /** One batch, all or none. */
  async batch(changes) {
    const init = { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(changes) }
    const answer = await request(this.#stateUrl('changes'), init)
    const { offsets } = answer.json()
    changes.forEach(({ type, key, value }, index) => offsets[index] !== null && this.#apply(type, key, value))
    return answer
  }

  /** One connection, a line a change. Only what was acknowledged counts as written. */
  async ingest(changes, { id, epoch = 0 } = {}) {
    const headers = { 'content-type': 'application/x-ndjson' }
    if (id !== undefined) Object.assign(headers, { 'producer-id': id, 'producer-epoch': String(epoch) })
    const body = changes.map((one) => `${JSON.stringify(one)}\n`).join('')
    const answer = await request(this.#stateUrl('changes'), { method: 'POST', headers, body })
    const lines = answer.text.trim().split('\n').map((line) => JSON.parse(line))
    const refused = lines.find((line) => line.error !== undefined)
    if (refused) throw new Error(`line ${refused.seq} was refused: ${JSON.stringify(refused.error)}`)
    for (const { seq } of lines) {
      const { type, key, value } = changes[seq]
      this.#apply(type, key, value)
    }
    return lines
  }
}
