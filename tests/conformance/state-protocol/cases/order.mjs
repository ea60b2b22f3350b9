// Order and offsets (§6.1; PROTOCOL.md §8): a reader gets the messages in the order of the stream, wherever it begins.

import assert from 'node:assert/strict'

import { State, entity, insert, isControl, remove, short, update } from '../suite/messages.mjs'
import { group } from './define.mjs'

/** `count` batches of one to `most` inserts. */
function batches(random, count, most, members = () => ({})) {
  let n = 0
  return Array.from({ length: count }, () =>
    Array.from({ length: random.integer(1, most) }, () =>
      insert('user', `u${++n}`, entity(`u${n}`, { n, ...members() })),
    ),
  )
}

const changesOf = (messages) => messages.filter((message) => !isControl(message))

export default group('order', (test) => {
  test('6', 'MUST', 'messages come in the order of the stream, over batches of any size', async (t) => {
    const stream = await t.stream()
    const sent = batches(t.random, 40, 12)
    for (const batch of sent) await stream.append(batch)
    t.delivered(sent.flat(), (await stream.read()).messages)
  })

  test('6', 'MUST', 'a batch of 1,000 changes keeps its order', (t) =>
    t.roundTrip(Array.from({ length: 1000 }, (_, n) => insert('user', `u${n}`, entity(`u${n}`, { n })))),
  )

  test('6', 'MUST', 'repeated changes of one entity all come, the last one last', (t) =>
    t.roundTrip([
      insert('user', 'u', entity('u', { n: 0 })),
      ...Array.from({ length: 50 }, (_, n) => update('user', 'u', entity('u', { n: n + 1 }))),
    ]),
  )

  test('6', 'MUST', 'an update of an entity that was never inserted puts it there', async (t) => {
    const received = await t.roundTrip([update('user', 'u', entity('u', { n: 1 }))])
    t.folds(received, State.of([insert('user', 'u', entity('u', { n: 1 }))]))
  })

  test('6', 'MUST', 'a delete of an entity that was never there changes nothing', async (t) => {
    const stream = await t.stream()
    await stream.append([insert('user', 'a', entity('a')), remove('user', 'never'), insert('user', 'b', entity('b'))])
    t.folds(
      (await stream.read()).messages,
      State.of([insert('user', 'a', entity('a')), insert('user', 'b', entity('b'))]),
    )
  })

  test('6', 'MUST', 'an entity that was deleted can be inserted again', async (t) => {
    const sent = [
      insert('user', 'u', entity('u', { n: 1 })),
      remove('user', 'u'),
      insert('user', 'u', entity('u', { n: 2 })),
    ]
    t.folds(await t.roundTrip(sent), State.of(sent))
  })

  test(
    '6',
    'MUST',
    "writers at the same time: each one's order is kept, and nothing is lost or doubled",
    async (t) => {
      const stream = await t.stream()
      const [writers, each] = [8, 15]
      await Promise.all(
        Array.from({ length: writers }, async (_, writer) => {
          const own = t.again(stream)
          for (let n = 0; n < each; n++)
            await own.append([insert('user', `w${writer}-${n}`, entity(`w${writer}-${n}`, { n }))])
        }),
      )
      const keys = changesOf((await stream.read()).messages).map(({ key }) => key)
      assert.equal(keys.length, writers * each, `${keys.length} messages came`)
      for (let writer = 0; writer < writers; writer++) {
        const own = keys.filter((key) => key.startsWith(`w${writer}-`))
        assert.deepEqual(
          own,
          Array.from({ length: each }, (_, n) => `w${writer}-${n}`),
        )
      }
    },
  )

  test('6', 'MUST', 'a batch stands together while others write', async (t) => {
    const stream = await t.stream()
    await Promise.all(
      Array.from({ length: 6 }, async (_, writer) => {
        const own = t.again(stream)
        for (let n = 0; n < 8; n++) {
          await own.append(
            [0, 1, 2].map((part) => insert('user', `w${writer}-${n}-${part}`, entity(`w${writer}-${n}-${part}`))),
          )
        }
      }),
    )
    const keys = changesOf((await stream.read()).messages).map(({ key }) => key)
    assert.equal(keys.length, 6 * 8 * 3)
    for (let at = 0; at < keys.length; at += 3) {
      const batch = keys[at].replace(/0$/, '')
      assert.deepEqual(
        keys.slice(at, at + 3),
        [0, 1, 2].map((part) => `${batch}${part}`),
      )
    }
  })

  test('PROTOCOL 8', 'MUST', 'the offset told to a writer is where the next message is read', async (t) => {
    const stream = await t.stream()
    const sent = batches(t.random, 15, 5)
    const offsets = []
    for (const batch of sent) offsets.push(await stream.append(batch))
    for (const [index, offset] of offsets.entries()) {
      assert.ok(offset, 'an append was not told Stream-Next-Offset')
      t.delivered(sent.slice(index + 1).flat(), (await stream.read(offset)).messages)
    }
  })

  test('PROTOCOL 8', 'MUST', 'offsets grow as text, and the last one is the tail', async (t) => {
    const stream = await t.stream()
    const offsets = []
    for (const batch of batches(t.random, 30, 4)) offsets.push(await stream.append(batch))
    // Bytes, not UTF-16 units.
    const inOrder = [...new Set(offsets)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    assert.deepEqual(offsets, inOrder)
    assert.equal((await stream.head()).offset, offsets.at(-1))
    assert.equal((await stream.read()).offset, offsets.at(-1))
  })

  test('PROTOCOL 8', 'MUST', 'an offset gives the same messages when it is read again later', async (t) => {
    const stream = await t.stream()
    const sent = batches(t.random, 10, 5)
    const offsets = []
    for (const batch of sent.slice(0, 5)) offsets.push(await stream.append(batch))
    const first = await Promise.all(offsets.map((offset) => stream.read(offset)))
    for (const batch of sent.slice(5)) await stream.append(batch)
    for (const [index, offset] of offsets.entries()) {
      const { messages } = await stream.read(offset)
      t.delivered([...changesOf(first[index].messages), ...sent.slice(5).flat()], messages)
    }
  })

  test('PROTOCOL 5.6', 'MUST', 'pages put together are the stream: no gap, no repeat', async (t) => {
    const stream = await t.stream()
    const text = 'x'.repeat(120_000)
    const sent = Array.from({ length: 40 }, (_, n) => insert('user', `u${n}`, entity(`u${n}`, { n, text })))
    for (let at = 0; at < sent.length; at += 4) await stream.append(sent.slice(at, at + 4))
    t.delivered(sent, (await stream.read()).messages)
  })

  test('3', 'MUST', 'an empty stream reads as an empty array', async (t) => {
    const stream = await t.stream()
    const { messages, upToDate } = await stream.page()
    assert.deepEqual(changesOf(messages), [])
    assert.equal(upToDate, true, 'Stream-Up-To-Date is missing')
  })

  test('PROTOCOL 9.1', 'MUST', 'what a stream is created with is its beginning', async (t) => {
    const sent = [insert('user', 'a', entity('a')), insert('user', 'b', entity('b')), remove('user', 'a')]
    const stream = await t.stream(sent.slice(0, 2))
    await stream.append(sent.slice(2))
    t.delivered(sent, (await stream.read()).messages)
  })

  test('6', 'MUST', 'streams do not see each other', async (t) => {
    const [one, other] = [await t.stream(), await t.stream()]
    await one.append([insert('user', 'same', entity('same', { n: 1 }))])
    await other.append([insert('user', 'same', entity('same', { n: 2 }))])
    await one.append([remove('user', 'same')])
    t.folds((await one.read()).messages, State.of([]))
    t.folds((await other.read()).messages, State.of([insert('user', 'same', entity('same', { n: 2 }))]))
  })

  test('6', 'MUST', 'a stream that was deleted and made again begins without state', async (t) => {
    const stream = await t.stream()
    await stream.append([insert('user', 'old', entity('old'))])
    const status = await stream.delete()
    if ([405, 501].includes(status)) t.skip(`the server does not delete: ${status}`)
    await stream.create()
    await stream.append([insert('user', 'new', entity('new'))])
    const { messages } = await stream.read()
    t.folds(messages, State.of([insert('user', 'new', entity('new'))]))
    assert.ok(messages.length > 0, short(messages))
  })

  test('PROTOCOL 5.2.1', 'MUST', 'a batch sent twice by a producer does not bring an old value back', async (t) => {
    const stream = await t.stream()
    const producer = (seq) => ({ 'producer-id': 'writer', 'producer-epoch': '0', 'producer-seq': String(seq) })
    const [old, newer] = [[insert('user', 'u', entity('u', { n: 1 }))], [update('user', 'u', entity('u', { n: 2 }))]]
    await stream.append(old, producer(0))
    await stream.append(newer, producer(1))
    await stream.append(old, producer(0))
    t.delivered([...old, ...newer], (await stream.read()).messages)
  })
})
