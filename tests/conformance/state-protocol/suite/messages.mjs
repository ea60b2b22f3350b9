// The State Protocol's messages: making them, what is wrong with one, and the state that a list of them adds up to.
//
// This is the suite's own reading of the specification; it shares nothing with any server or client.

export const CONTROLS = ['snapshot-start', 'snapshot-end', 'reset']
export const OPERATIONS = ['insert', 'update', 'delete']

/** An entity's value; it names its key, because servers with schemas ask for that. */
export const entity = (key, members = {}) => ({ id: key, ...members })

export const insert = (type, key, value, headers = {}) => ({
  type,
  key,
  value,
  headers: { operation: 'insert', ...headers },
})
export const update = (type, key, value, headers = {}) => ({
  type,
  key,
  value,
  headers: { operation: 'update', ...headers },
})
export const remove = (type, key, headers = {}) => ({ type, key, headers: { operation: 'delete', ...headers } })
export const control = (name, headers = {}) => ({ headers: { control: name, ...headers } })

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value)
const isText = (value) => typeof value === 'string' && value.length > 0

const RFC_3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/

/** RFC 3339, leap seconds included. */
export function isTimestamp(text) {
  const parts = typeof text === 'string' && RFC_3339.exec(text)
  if (!parts) return false
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number)
  const days = new Date(Date.UTC(year, month, 0)).getUTCDate()
  return month >= 1 && month <= 12 && day >= 1 && day <= days && hour <= 23 && minute <= 59 && second <= 60
}

export const isControl = (message) =>
  isObject(message) && isObject(message.headers) && message.headers.control !== undefined

/** What §5 forbids in a message; empty where it is well formed. `upsert` is allowed: published clients send it. */
export function faultsOf(message) {
  if (!isObject(message)) return ['not an object']
  const { headers } = message
  if (!isObject(headers)) return ['headers is not an object']
  if (isControl(message)) {
    return [
      ...(CONTROLS.includes(headers.control) ? [] : [`headers.control is ${JSON.stringify(headers.control)}`]),
      ...(headers.offset === undefined || isText(headers.offset) ? [] : ['headers.offset is not an offset']),
    ]
  }
  const needsValue = headers.operation !== 'delete'
  return [
    ...(isText(message.type) ? [] : ['type is not a non-empty string']),
    ...(isText(message.key) ? [] : ['key is not a non-empty string']),
    ...([...OPERATIONS, 'upsert'].includes(headers.operation)
      ? []
      : [`headers.operation is ${JSON.stringify(headers.operation)}`]),
    ...(needsValue && !Object.hasOwn(message, 'value') ? ['value is missing'] : []),
    ...(headers.txid === undefined || isText(headers.txid) ? [] : ['headers.txid is not a non-empty string']),
    ...(headers.timestamp === undefined || isTimestamp(headers.timestamp)
      ? []
      : ['headers.timestamp is not RFC 3339']),
  ]
}

/** JSON with sorted members: equal text means equal JSON. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (!isObject(value)) return JSON.stringify(value)
  const members = Object.keys(value)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`)
  return `{${members.join(',')}}`
}

/** Members of a message whose meaning the specification defines. */
const MEMBERS = ['type', 'key', 'value', 'old_value']
const HEADERS = ['operation', 'control', 'txid', 'timestamp']

/**
 * How a delivered message differs from the one that was sent, in what the specification defines; undefined where it does
 * not. A server may add to the headers, or say its own `offset` there, and a delete says the same with `"value": null` and
 * without (§4.1.3).
 */
export function difference(sent, received) {
  if (!isObject(received) || !isObject(received.headers)) return `delivered as ${short(received)}`
  for (const name of MEMBERS) {
    const [was, is] = [sent[name], received[name]]
    if (name === 'value' && sent.headers.operation === 'delete' && (was ?? null) === null) {
      if ((is ?? null) !== null) return `a delete was given the value ${short(is)}`
    } else if (was !== undefined && (!Object.hasOwn(received, name) || canonical(was) !== canonical(is))) {
      return `${name} was ${short(was)} and is ${short(is)}`
    }
  }
  for (const name of HEADERS) {
    const [was, is] = [sent.headers[name], received.headers[name]]
    if (was !== undefined && (is === undefined || canonical(was) !== canonical(is))) {
      return `headers.${name} was ${short(was)} and is ${short(is)}`
    }
  }
  return undefined
}

/** A message that is exactly the one that was sent, or has more headers than it. */
export function unchanged(sent, received) {
  if (!isObject(sent) || !isObject(received) || !isObject(sent.headers) || !isObject(received.headers)) {
    return canonical(sent) === canonical(received)
  }
  const own = Object.entries(received.headers).filter(
    ([name]) => Object.hasOwn(sent.headers, name) && name !== 'offset',
  )
  const offset = Object.hasOwn(sent.headers, 'offset') ? { offset: sent.headers.offset } : {}
  return canonical(sent) === canonical({ ...received, headers: { ...Object.fromEntries(own), ...offset } })
}

/** JSON for a person: not all of a long one. */
export function short(value) {
  const text = JSON.stringify(value) ?? 'absent'
  return text.length > 160 ? `${text.slice(0, 160)}… (${text.length} characters)` : text
}

/** Materialised state, by §6. `reset` clears (§4.2.2); snapshot boundaries do nothing by themselves. */
export class State {
  #entities = new Map()

  static of(messages) {
    const state = new State()
    for (const message of messages) state.apply(message)
    return state
  }

  apply(message) {
    if (isControl(message)) {
      if (message.headers.control === 'reset') this.#entities.clear()
      return
    }
    const { type, key, value, headers } = message
    const name = JSON.stringify([type, key])
    if (headers.operation === 'delete') this.#entities.delete(name)
    else this.#entities.set(name, canonical(value))
  }

  get size() {
    return this.#entities.size
  }

  has(type, key) {
    return this.#entities.has(JSON.stringify([type, key]))
  }

  /** Entities by `[type,key]`, sorted, so that equal states compare equal. */
  entries() {
    return [...this.#entities].sort(([a], [b]) => (a < b ? -1 : 1))
  }
}
