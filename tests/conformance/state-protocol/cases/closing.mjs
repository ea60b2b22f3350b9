// Closing (PROTOCOL.md §5.2, §5.3) as a reader of state sees it: the last change comes, and then it is told that it was.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

import { State, entity, insert, update } from '../suite/messages.mjs'
import { group } from './define.mjs'

const KEEPS_OPEN = 'a binding may keep streams open for others'
const sent = [
  insert('user', 'a', entity('a')),
  insert('user', 'b', entity('b')),
  update('user', 'a', entity('a', { n: 2 })),
]

export default group('closing', (test) => {
  test(
    'PROTOCOL 5.3',
    'MUST',
    'a closed stream keeps its state, and says that it is complete',
    async (t) => {
      const stream = await t.stream()
      await stream.append(sent)
      await stream.close()
      const { messages, closed } = await stream.read()
      t.delivered(sent, messages)
      assert.equal(closed, true, 'Stream-Closed is missing')
    },
    { plain: KEEPS_OPEN },
  )

  test(
    'PROTOCOL 5.2',
    'MUST',
    'nothing can be added to a closed stream',
    async (t) => {
      const stream = await t.stream()
      await stream.append(sent)
      await stream.close()
      const answer = await stream.post(JSON.stringify([update('user', 'a', entity('a', { n: 3 }))]))
      assert.equal(answer.status, 409)
      t.folds((await stream.read()).messages, State.of(sent))
    },
    { plain: KEEPS_OPEN },
  )

  test(
    'PROTOCOL 5.2',
    'MUST',
    'the change that a stream is closed with is its last',
    async (t) => {
      const stream = await t.stream()
      await stream.append(sent.slice(0, 2))
      await stream.append(sent.slice(2), { 'stream-closed': 'true' })
      const { messages, closed } = await stream.read()
      t.delivered(sent, messages)
      assert.equal(closed, true, 'Stream-Closed is missing')
    },
    { plain: KEEPS_OPEN },
  )

  test(
    'PROTOCOL 5.1',
    'MUST',
    'a stream can be created closed, with all of its state',
    async (t) => {
      const stream = await t.stream(sent, { 'stream-closed': 'true' })
      const { messages, closed } = await stream.read()
      t.delivered(sent, messages)
      assert.equal(closed, true, 'Stream-Closed is missing')
    },
    { plain: KEEPS_OPEN },
  )

  for (const live of ['long-poll', 'sse']) {
    test(
      live === 'sse' ? 'PROTOCOL 5.8' : 'PROTOCOL 5.7',
      'MUST',
      `${live}: a reader is given the last change, and then the end`,
      async (t) => {
        const stream = await t.stream()
        const reading = t.again(stream).collect(live, Infinity)
        reading.catch(() => {})
        for (const message of sent.slice(0, 2)) await stream.append([message])
        // The reader has caught up and waits when the end comes.
        await sleep(200)
        await stream.append(sent.slice(2), { 'stream-closed': 'true' })
        t.delivered(sent, (await reading).messages)
      },
      { plain: KEEPS_OPEN },
    )

    test(
      live === 'sse' ? 'PROTOCOL 5.8' : 'PROTOCOL 5.7',
      'MUST',
      `${live}: a late reader of a closed stream is given all of it, and ends`,
      async (t) => {
        const stream = await t.stream()
        await stream.append(sent)
        await stream.close()
        t.delivered(sent, (await stream.collect(live, Infinity)).messages)
      },
      { plain: KEEPS_OPEN },
    )
  }
})
