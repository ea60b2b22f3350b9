// A server that is broken on purpose: it passes everything on to a real one, but for what a mutant changes.

import { createServer } from 'node:http'

import { events } from '../suite/sse.mjs'

/**
 * Starts a proxy in front of `target`. A mutant has any of
 * - `messages(list, request)`: what becomes of the messages of a response;
 * - `headers(headers, request)`: the same for its headers, a plain object;
 * - `request(request)`: changes `{method, path, query, headers, body}` before it is passed on; a returned `{status}` is
 *   the answer instead;
 * - `status(status, request)`: the status that is answered;
 * - `repeats(request)`: whether it is passed on twice;
 * - `events(list)`: what becomes of an SSE response's data event and the control event behind it.
 */
export async function startProxy(target, mutant = {}) {
  const open = new Set()
  const server = createServer((incoming, answer) => {
    const abort = new AbortController()
    open.add(abort)
    answer.once('close', () => abort.abort())
    pass(target, mutant, incoming, answer, abort.signal)
      .catch(() => answer.destroy())
      .finally(() => open.delete(abort))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    async close() {
      for (const abort of open) abort.abort()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'host',
  'content-encoding',
  'accept-encoding',
  'etag',
]

const kept = (headers) => Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)))

async function pass(target, mutant, incoming, answer, signal) {
  const url = new URL(incoming.url, target)
  const chunks = []
  for await (const chunk of incoming) chunks.push(chunk)
  const request = {
    method: incoming.method,
    path: url.pathname,
    query: url.searchParams,
    headers: kept(incoming.headers),
    body: Buffer.concat(chunks),
  }
  const instead = mutant.request?.(request)
  if (instead) return void answer.writeHead(instead.status, instead.headers ?? {}).end()
  const send = () =>
    fetch(`${target}${request.path}?${request.query}`, {
      method: request.method,
      headers: request.headers,
      signal,
      body: ['GET', 'HEAD'].includes(request.method) || request.body.length === 0 ? undefined : request.body,
    })
  if (mutant.repeats?.(request)) await (await send()).arrayBuffer()
  const real = await send()
  const headers = kept(Object.fromEntries(real.headers))
  const status = mutant.status?.(real.status, request) ?? real.status
  const change = (messages) => mutant.messages?.(messages, request) ?? messages
  answer.writeHead(status, mutant.headers?.(headers, request) ?? headers)
  answer.flushHeaders()
  if (headers['content-type']?.startsWith('text/event-stream')) return sse(real.body, answer, change, mutant)
  const text = await real.text()
  const isMessages = request.method === 'GET' && status === 200
  answer.end(isMessages ? JSON.stringify(change(JSON.parse(text))) : status === 204 ? undefined : text)
}

async function sse(body, answer, change, mutant) {
  let pending = []
  for await (const { event, data } of events(body)) {
    const text = event === 'data' ? JSON.stringify(change(JSON.parse(data))) : data
    pending.push(`event: ${event}\ndata: ${text}\n\n`)
    if (event !== 'control') continue
    for (const frame of mutant.events?.(pending) ?? pending) answer.write(frame)
    pending = []
  }
  answer.end()
}
