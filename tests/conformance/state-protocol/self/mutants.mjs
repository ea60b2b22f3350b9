// Ways for a server to be wrong. Each must make the suite fail; `level` is SHOULD where no MUST forbids it.

const each = (change) => ({
  messages: (list) => list.map((message) => (message?.headers ? change(message) : message)),
})
const text = (name, change) =>
  each((message) => (typeof message[name] === 'string' ? { ...message, [name]: change(message[name]) } : message))
const only = (live, mutant) => ({
  messages: (list, request) => (request.query.get('live') === live ? mutant(list) : list),
})

const isDelete = (message) => message?.headers?.operation === 'delete'

/** Deep copy with every leaf changed. */
function leaves(value, change) {
  if (Array.isArray(value)) return value.map((one) => leaves(one, change))
  if (value === null || typeof value !== 'object') return change(value)
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, leaves(one, change)]))
}
const values = (change) =>
  each((message) =>
    Object.hasOwn(message, 'value') ? { ...message, value: leaves(message.value, change) } : message,
  )

/** What it says of the place of every append but the first. */
function staleOffsets() {
  const last = new Map()
  return (headers, { method, path }) => {
    const offset = headers['stream-next-offset']
    if (method !== 'POST' || offset === undefined) return headers
    const told = last.get(path) ?? offset
    last.set(path, offset)
    return { ...headers, 'stream-next-offset': told }
  }
}

/** Every `nth` append is answered as done, and lost. */
function losingAppends(nth) {
  let appends = 0
  return ({ method }) => (method === 'POST' && ++appends % nth === 0 ? { status: 204 } : undefined)
}

/** Shows in every read what the server behind it has refused, where it is of a kind. */
function showing(kind) {
  const refused = new Map()
  return {
    status: (status, { method, path, body }) => {
      if (method !== 'POST' || status !== 422) return status
      const messages = [JSON.parse(body)].flat().filter((message) => kind(message ?? {}))
      refused.set(path, [...(refused.get(path) ?? []), ...messages])
      return messages.length > 0 ? 200 : status
    },
    messages: (list, { path }) => [...list, ...(refused.get(path) ?? [])],
  }
}

/** Each runs once: some remember what they have seen. */
export const MUTANTS = {
  'drops every ninth message': { messages: (list) => list.filter((_, index) => index % 9 !== 8) },
  'drops the last message of a long read': { messages: (list) => (list.length > 10 ? list.slice(0, -1) : list) },
  'drops deletes': { messages: (list) => list.filter((message) => !isDelete(message)) },
  'drops control messages': { messages: (list) => list.filter((message) => message?.headers?.control === undefined) },
  'drops resets': { messages: (list) => list.filter((message) => message?.headers?.control !== 'reset') },
  'swaps two neighbours': {
    messages: ([a, b, ...rest]) => (b === undefined ? (a === undefined ? [] : [a]) : [b, a, ...rest]),
  },
  'reverses what it reads': { messages: (list) => list.toReversed() },
  'sorts by key': { messages: (list) => list.toSorted((a, b) => (a?.key < b?.key ? -1 : 0)) },
  'doubles a message': { messages: (list) => (list.length > 2 ? [list[0], ...list] : list) },
  'keeps only the newest of an entity': {
    messages: (list) =>
      list.filter(
        (one, index) =>
          one?.key === undefined ||
          !list.slice(index + 1).some(({ type, key }) => type === one.type && key === one.key),
      ),
  },
  'composes keys': text('key', (key) => key.normalize('NFC')),
  'trims keys': text('key', (key) => key.trim()),
  'lowers keys': text('key', (key) => key.toLowerCase()),
  'decodes keys': text('key', (key) => key.replaceAll('%20', ' ')),
  'reads keys as numbers': text('key', (key) => (/^\d+$/.test(key) ? String(Number(key)) : key)),
  'makes numbers of keys': text('key', (key) => (/^\d+$/.test(key) ? Number(key) : key)),
  'takes one type for another': text('type', (type) => (type === 'reaction' ? 'message' : type)),
  'lowers types': text('type', (type) => type.toLowerCase()),
  'truncates texts': values((leaf) => (typeof leaf === 'string' ? leaf.slice(0, 10_000) : leaf)),
  'rounds numbers': values((leaf) => (typeof leaf === 'number' ? Number(leaf.toPrecision(15)) : leaf)),
  'escapes texts': values((leaf) => (typeof leaf === 'string' ? leaf.replaceAll('<', '&lt;') : leaf)),
  'takes null for absent': each(({ value, ...rest }) => (value === null ? rest : { value, ...rest })),
  'drops members that are null': each((message) =>
    message.value && typeof message.value === 'object' && !Array.isArray(message.value)
      ? { ...message, value: Object.fromEntries(Object.entries(message.value).filter(([, value]) => value !== null)) }
      : message,
  ),
  'merges updates into what was there': {
    messages: (list) => {
      const known = new Map()
      return list.map((message) => {
        if (message?.headers?.operation !== 'update' || typeof message.value !== 'object') {
          if (message?.key !== undefined) known.set(message.key, message.value)
          return message
        }
        return { ...message, value: { ...known.get(message.key), ...message.value } }
      })
    },
  },
  'gives deletes a value': each((message) => (isDelete(message) ? { ...message, value: {} } : message)),
  'drops old values': each(({ old_value: _, ...rest }) => rest),
  'drops txids': each(({ headers: { txid: _, ...headers }, ...rest }) => ({ ...rest, headers })),
  'rewrites timestamps': each((message) => {
    const moment = new Date(message.headers.timestamp ?? NaN)
    return Number.isNaN(moment.valueOf())
      ? message
      : { ...message, headers: { ...message.headers, timestamp: moment.toISOString() } }
  }),
  'takes inserts for updates': each((message) =>
    message.headers.operation === 'insert'
      ? { ...message, headers: { ...message.headers, operation: 'update' } }
      : message,
  ),
  'repairs keys': each((message) =>
    typeof message.key === 'number' ? { ...message, key: String(message.key) } : message,
  ),
  'repairs operations': each((message) =>
    typeof message.headers.operation === 'string'
      ? { ...message, headers: { ...message.headers, operation: message.headers.operation.toLowerCase() } }
      : message,
  ),
  'wraps its messages': each((message) => ({ message })),
  'loses a message in SSE only': only('sse', (list) => list.slice(list.length > 3 ? 1 : 0)),
  'loses a message in long-polls only': only('long-poll', (list) => list.slice(list.length > 3 ? 1 : 0)),
  'hides control messages from live readers': only('sse', (list) =>
    list.filter((message) => message?.headers?.control === undefined),
  ),
  'sends the control event before its data': { events: (frames) => frames.toReversed() },
  'sends data events twice': { events: (frames) => [...frames.slice(0, -1), ...frames] },
  'sends data events without a control event': { events: (frames) => frames.slice(0, -1) },
  'ignores where a reader resumes': {
    request: ({ method, query }) => void (method === 'GET' && query.has('offset') && query.set('offset', '-1')),
  },
  'resumes at the tail': {
    request: ({ method, query }) =>
      void (method === 'GET' && !['-1', null].includes(query.get('offset')) && query.set('offset', 'now')),
  },
  'tells writers the offset before theirs': { headers: staleOffsets() },
  'loses an append now and then': { request: losingAppends(5) },
  'writes every append twice': {
    repeats: ({ method, headers }) => method === 'POST' && headers['producer-id'] === undefined,
  },
  'forgets producers': {
    request: ({ headers }) => {
      for (const name of ['producer-id', 'producer-epoch', 'producer-seq']) delete headers[name]
    },
  },
  'takes what is not JSON': { status: (status, { method }) => (method === 'POST' && status === 400 ? 204 : status) },
  'takes appends after the end': {
    status: (status, { method }) => (method === 'POST' && status === 409 ? 204 : status),
  },
  'does not say that a stream is closed': { headers: ({ 'stream-closed': _, ...headers }) => headers },
  'keeps streams in one': {
    request: (request) => void (request.path = request.path.replace(/(state-[^/]*)-\d+$/, '$1-1')),
  },
  'does not delete': { request: ({ method }) => (method === 'DELETE' ? { status: 204 } : undefined) },
  'drops header fields that it does not know': {
    level: 'SHOULD',
    ...each(({ headers: { operation, control, txid, timestamp, offset }, ...rest }) => ({
      ...rest,
      headers: JSON.parse(JSON.stringify({ operation, control, txid, timestamp, offset })),
    })),
  },
  'sorts members': {
    level: 'SHOULD',
    ...each((message) =>
      message.value && typeof message.value === 'object' && !Array.isArray(message.value)
        ? {
            ...message,
            value: Object.fromEntries(Object.entries(message.value).sort(([a], [b]) => (a < b ? -1 : 1))),
          }
        : message,
    ),
  },
}

/** The same for a server that validates: it keeps what belongs to no schema to itself, but not what is wrong in a value. */
export const TYPED_MUTANTS = {
  'shows values that it has refused': showing(({ headers, value }) => headers?.operation && value),
  'shows updates that it has refused': showing(({ headers, value }) => headers?.operation === 'update' && value),
}
