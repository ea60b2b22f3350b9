// The real binary wakes workers: a webhook that verifies with the code of the documentation, and the journal behind it,
// killed between a failed delivery and the next.

import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

import { afterAll, beforeAll, expect, it } from 'vitest'

import { Server } from './server.mjs'

const DOCS = new URL('../../docs/subscriptions.md', import.meta.url)

let server, directory, isFromKeyfold

beforeAll(async () => {
  server = await Server.start({ args: ['--webhook-allow-localhost'] })
  directory = await mkdtemp(path.join(tmpdir(), 'keyfold-docs-'))
  // The snippet as a reader would paste it.
  const snippet = (await readFile(DOCS, 'utf8')).split('```js\n').find((part) => part.includes('isFromKeyfold'))
  const file = path.join(directory, 'verify.mjs')
  await writeFile(file, snippet.split('```')[0])
  ;({ isFromKeyfold } = await import(/* @vite-ignore */ pathToFileURL(file).href))
})

afterAll(async () => {
  await server?.remove()
  await rm(directory, { recursive: true, force: true })
})

/** A webhook that answers with the next of `answers`: a status, and a body. */
async function webhook(answers) {
  const heard = []
  const listener = createServer((request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const raw = Buffer.concat(chunks)
      heard.push({ raw, signature: request.headers['webhook-signature'], wake: JSON.parse(raw) })
      const [status, body] = answers.shift() ?? [200, {}]
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
  })
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${listener.address().port}/hook`
  return { heard, url, close: () => new Promise((resolve) => listener.close(resolve)) }
}

function send(method, where, body, token) {
  const url = where.startsWith('http') ? where : `${server.url}/v1/stream/${where}`
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
  return fetch(url, { method, headers, body: body && JSON.stringify(body) })
}

async function until(holds) {
  for (let tries = 0; tries < 1000; tries += 1) {
    const found = await holds()
    if (found) return found
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`it did not come\n${server.log}`)
}

it('a killed server keeps the retry, the wake and its token', async () => {
  // After two failures there are about two seconds for the kill.
  const hook = await webhook([[503, {}], [503, {}]])
  const subscription = '__ds/subscriptions/killed'
  const shown = async () => (await send('GET', subscription)).json()
  const body = { type: 'webhook', pattern: 'killed/*', webhook: { url: hook.url }, lease_ttl_ms: 60_000 }
  expect((await send('PUT', subscription, body)).status).toBe(201)
  await send('PUT', 'killed/a', [1, 2])
  const failed = await until(async () => {
    const now = await shown()
    return hook.heard.length === 2 && Date.parse(now.next_attempt_at) > Date.now() + 1_000 && now
  })
  await server.restart('kill')
  const { next_attempt_at, generation, lease_until } = await shown()
  expect({ next_attempt_at, generation, lease_until }).toEqual({
    next_attempt_at: failed.next_attempt_at,
    generation: 1,
    lease_until: failed.lease_until,
  })
  const [first, , second] = await until(() => hook.heard.length === 3 && hook.heard)
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(next_attempt_at))
  expect(second.wake.wake_id).toBe(first.wake.wake_id)
  expect(second.wake.callback_token).toBe(first.wake.callback_token)

  const jwks = await (await send('GET', '__ds/jwks.json')).json()
  expect(isFromKeyfold(first.raw, first.signature, jwks)).toBe(true)
  expect(isFromKeyfold(second.raw, second.signature, jwks)).toBe(true)
  expect(isFromKeyfold(first.raw, second.signature.replace(/t=\d+/, 't=1'), jwks)).toBe(false)
  expect(isFromKeyfold(Buffer.from('{}'), second.signature, jwks)).toBe(false)
  expect(isFromKeyfold(second.raw, second.signature, jwks, Date.now() + 400_000)).toBe(false)

  const { wake_id, callback_url, callback_token, streams } = second.wake
  const acks = streams.map((stream) => ({ stream: stream.path, offset: stream.tail_offset }))
  const ack = { wake_id, generation: 1, acks, done: true }
  expect(await (await send('POST', callback_url, ack, callback_token)).json()).toEqual({ ok: true, next_wake: false })
  await server.restart('kill')
  const stale = await send('POST', callback_url, ack, callback_token)
  expect([stale.status, (await stale.json()).error.code]).toEqual([409, 'FENCED'])
  expect((await shown()).streams).toEqual([
    { path: 'killed/a', link_type: 'glob', acked_offset: streams[0].tail_offset },
  ])
  await hook.close()
})

it('a killed server keeps a claim', async () => {
  await send('PUT', 'claims/wakes', [])
  const subscription = '__ds/subscriptions/claims'
  const body = { type: 'pull-wake', pattern: 'claimed/*', wake_stream: 'claims/wakes', lease_ttl_ms: 60_000 }
  expect((await send('PUT', subscription, body)).status).toBe(201)
  await send('PUT', 'claimed/a', [1])
  await until(async () => (await (await send('GET', 'claims/wakes')).json()).length === 1)
  const claim = await (await send('POST', `${subscription}/claim`, { worker: 'one' })).json()
  await server.restart('kill')
  const busy = await send('POST', `${subscription}/claim`, { worker: 'two' })
  expect([busy.status, (await busy.json()).error.current_holder]).toEqual([409, 'one'])
  const acks = [{ stream: 'claimed/a', offset: claim.streams[0].tail_offset }]
  const ack = { wake_id: claim.wake_id, generation: claim.generation, acks, done: true }
  expect((await send('POST', `${subscription}/ack`, ack, claim.token)).status).toBe(200)
})

it('the signing key is readable by its owner alone', async () => {
  const { mode } = await stat(path.join(server.dataDir, 'webhook-key'))
  expect((mode & 0o777).toString(8)).toBe('600')
})
