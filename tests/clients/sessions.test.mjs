// claude-code-ui's daemon and the trigger service: whole entities again and again, and keys that need care in a URL.

import { DurableStream } from '@durable-streams/client'
import { afterAll, beforeAll, expect, it } from 'vitest'

import { session, triggerEvent } from './entities.mjs'
import { materialized, messages, rows, shows, stateSchema, streamDB } from './readers.mjs'
import { Server } from './server.mjs'
import { Writers, bind } from './writers.mjs'

let server

beforeAll(async () => {
  server = await Server.start()
  await bind(server, 'sessions', 'sessions/**')
  await bind(server, 'triggers', 'netscript/triggers/**')
})

afterAll(() => server?.remove())

it('a daemon that starts again inserts every session again', async () => {
  const url = `${server.url}/v1/stream/sessions/daemon`
  const { sessions: events } = await stateSchema('sessions')
  const stream = new DurableStream({ url, contentType: 'application/json', batching: false })
  const ui = await streamDB(url, 'sessions', { live: 'sse' })
  await ui.preload()
  const send = (event) => stream.append(JSON.stringify(event))
  const ids = ['a1', 'b2', 'c3']
  for (let start = 1; start <= 3; start++) {
    for (const id of ids) await send(events.insert({ value: session(id, { messageCount: start }) }))
    const busy = session('a1', { messageCount: start + 10, hasPendingToolUse: true, pendingTool: { tool: 'Bash', target: 'ls' } })
    await send(events.update({ value: busy, oldValue: session('a1', { messageCount: start }) }))
    await shows(ui, {
      sessions: { a1: busy, b2: session('b2', { messageCount: start }), c3: session('c3', { messageCount: start }) },
    })
    await server.restart()
  }
  await send(events.delete({ key: 'b2', oldValue: session('b2', { messageCount: 3 }) }))
  await expect.poll(() => Object.keys(rows(ui, 'sessions')).sort()).toEqual(['a1', 'c3'])
  ui.close()
  expect([...(await materialized(url)).getType('session').keys()].sort()).toEqual(['a1', 'c3'])
})

const KEYS = ['checkout:order-42', 'a/b/c', 'a b', '100%', 'ü🦀', '-', '?x=1#y', '+', "it's", 'a%2Fb', '\\', '"']

it.each(KEYS)('the key %s is the same through every door', async (key) => {
  const writers = new Writers(server, `netscript/triggers/keys-${KEYS.indexOf(key)}`)
  await writers.put('triggerEvent', key, triggerEvent(key, { payload: [null, { deep: [1, 'zwei'] }] }))
  await writers.patch('triggerEvent', key, { status: 'in-flight', metadata: { tries: 1 } })
  await writers.post([{ type: 'triggerEvent', key: `${key}2`, value: triggerEvent(`${key}2`), headers: { operation: 'insert' } }])
  const db = await streamDB(writers.streamUrl, 'triggers', { live: false })
  await db.preload()
  expect(rows(db, 'triggerEvent')).toEqual(writers.entities('triggerEvent'))
  const one = await fetch(`${server.url}/v1/state/${writers.stream}/-/entities/triggerEvent/${encodeURIComponent(key)}`)
  expect(await one.json()).toEqual(writers.entities('triggerEvent')[key])
  await writers.delete('triggerEvent', key)
  expect([...(await materialized(writers.streamUrl)).getType('triggerEvent').keys()]).toEqual([`${key}2`])
})

it('writers that each own a member never lose another\'s', async () => {
  const writers = new Writers(server, 'netscript/triggers/merged')
  await writers.put('triggerEvent', 'e1', triggerEvent('e1', { metadata: {} }))
  const patch = (metadata) =>
    fetch(`${server.url}/v1/state/${writers.stream}/-/entities/triggerEvent/e1`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/merge-patch+json' },
      body: JSON.stringify({ metadata }),
    })
  const owners = Array.from({ length: 8 }, (_, n) => n)
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all(owners.map((n) => patch({ [`member${n}`]: round })))
    expect(answers.map(({ status }) => status)).toEqual(owners.map(() => 200))
  }
  const { metadata } = (await materialized(writers.streamUrl)).get('triggerEvent', 'e1')
  expect(metadata).toEqual(Object.fromEntries(owners.map((n) => [`member${n}`, 9])))
  expect(await messages(writers.streamUrl)).toHaveLength(81)
})
