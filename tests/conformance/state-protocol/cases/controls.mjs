// Control messages (§4.2, §5.2). A server may keep them to itself and refuse a client's; what it takes it delivers in place.

import assert from 'node:assert/strict'

import {
  CONTROLS,
  State,
  canonical,
  control,
  difference,
  entity,
  faultsOf,
  insert,
  isControl,
  remove,
  update,
} from '../suite/messages.mjs'
import { group } from './define.mjs'

/** Appends messages one by one; those that were taken. A control may be refused with a 4xx, a change may not. */
async function appended(stream, messages) {
  const taken = []
  for (const message of messages) {
    const answer = await stream.post(JSON.stringify([message]))
    if (!answer.ok) {
      assert.ok(isControl(message), `a change was answered ${answer.status}: ${answer.text.slice(0, 200)}`)
      assert.ok(answer.status >= 400 && answer.status < 500, `a control message was answered ${answer.status}`)
      continue
    }
    taken.push(message)
  }
  return taken
}

const users = (from, count, members = {}) =>
  Array.from({ length: count }, (_, n) => insert('user', `u${from + n}`, entity(`u${from + n}`, members)))

export default group('controls', (test) => {
  for (const name of CONTROLS) {
    test('4.2', 'MUST', `${name} stands where it was sent, or is refused and stands nowhere`, async (t) => {
      const stream = await t.stream()
      const taken = await appended(stream, [...users(0, 2), control(name), ...users(2, 2)])
      const { messages } = await stream.read()
      t.delivered(taken, messages)
      if (taken.length === 4) assert.deepEqual(messages.filter(isControl), [])
    })
  }

  test('5.2', 'MUST', 'a control message with an offset stands where it was sent, and still has one', async (t) => {
    const stream = await t.stream()
    const offset = await stream.append(users(0, 2))
    const taken = await appended(
      stream,
      CONTROLS.map((name) => control(name, { offset })),
    )
    const { messages } = await stream.read()
    t.delivered([...users(0, 2), ...taken], messages)
    for (const message of messages.filter(isControl)) assert.equal(typeof message.headers.offset, 'string')
  })

  test('4.2.2', 'SHOULD', 'a reset still says the offset that its writer indicated', async (t) => {
    const stream = await t.stream()
    const offset = await stream.append(users(0, 2))
    await stream.append(users(2, 2))
    const taken = await appended(stream, [control('reset', { offset })])
    if (taken.length === 0) t.skip('the server refuses control messages of clients')
    const reset = (await stream.read()).messages.findLast(isControl)
    assert.equal(reset.headers.offset, offset)
  })

  test('4.2.2', 'MUST', 'what was written before a reset is not in the state after it', async (t) => {
    const stream = await t.stream()
    const taken = await appended(stream, [...users(0, 3), control('reset'), ...users(10, 2), remove('user', 'u10')])
    const { messages } = await stream.read()
    t.folds(messages, State.of(taken))
  })

  test('4.2.2', 'MUST', 'a reset clears every type, and the same keys can be inserted again', async (t) => {
    const stream = await t.stream()
    const taken = await appended(stream, [
      insert('user', 'k', entity('k', { n: 1 })),
      insert('message', 'k', entity('k', { n: 1 })),
      control('reset'),
      insert('user', 'k', entity('k', { n: 2 })),
      control('reset'),
      control('reset'),
      update('message', 'k', entity('k', { n: 3 })),
    ])
    const { messages } = await stream.read()
    t.folds(messages, State.of(taken))
    t.delivered(taken, messages)
  })

  test('4.2.1', 'MUST', 'a snapshot between its boundaries comes whole and in order', async (t) => {
    const stream = await t.stream()
    const taken = await appended(stream, [
      ...users(0, 2),
      control('snapshot-start'),
      ...users(0, 5, { n: 1 }),
      control('snapshot-end'),
      update('user', 'u1', entity('u1', { n: 2 })),
    ])
    const { messages } = await stream.read()
    t.delivered(taken, messages)
    t.folds(messages, State.of(taken))
  })

  test(
    '4.2',
    'MUST',
    'changes and control messages of one batch keep their order, or the batch is refused whole',
    async (t) => {
      const stream = await t.stream()
      const batch = [
        users(0, 1)[0],
        control('snapshot-start'),
        users(1, 1)[0],
        control('snapshot-end'),
        control('reset'),
        users(2, 1)[0],
      ]
      const answer = await stream.post(JSON.stringify(batch))
      t.delivered(answer.ok ? batch : [], (await stream.read()).messages)
    },
  )

  test(
    '5.2',
    'MUST',
    'control messages that a server sends by itself are well formed, and their offsets can be read from',
    async (t) => {
      const stream = await t.stream()
      const sent = users(0, 30)
      for (const message of sent) await stream.append([message])
      for (const live of [undefined, 'long-poll', 'sse']) {
        const { messages } = live ? await stream.collect(live, sent.length) : await stream.read()
        for (const message of messages.filter(isControl)) {
          assert.deepEqual(faultsOf(message), [])
          if (message.headers.offset !== undefined) await stream.page(message.headers.offset)
        }
      }
    },
  )

  test('4.2', 'SHOULD', 'control messages keep header fields that the specification does not name', async (t) => {
    const stream = await t.stream()
    const message = control('snapshot-start', { reason: { why: 'schema migration', version: 2 } })
    const taken = await appended(stream, [users(0, 1)[0], message])
    if (taken.length < 2) t.skip('the server refuses control messages of clients')
    const { messages } = await stream.read()
    const found = messages.find((one) => isControl(one) && difference(message, one) === undefined)
    assert.equal(canonical(found.headers.reason ?? null), canonical(message.headers.reason))
  })
})
