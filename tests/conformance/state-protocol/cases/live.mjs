// Live reads (PROTOCOL.md §5.7, §5.8): long-poll and SSE deliver the messages that a catch-up read delivers.

import assert from 'node:assert/strict'

import { State, control, entity, insert, isControl, remove, update } from '../suite/messages.mjs'
import { group } from './define.mjs'
import { randomBatch } from './folding.mjs'

const HARD = [
  'data: x\n\nevent: control\ndata: {}\n\n',
  '\r',
  '\r\n',
  '\n\n',
  '\u2028\u2029\u0085\ufeff',
  ': comment',
  'id: 1\nretry: 1',
  'Grüße, 世界 🦀',
  '\u0000',
]

export default group('live', (test) => {
  for (const live of ['long-poll', 'sse']) {
    const test5 = (title, run, about) =>
      test(live === 'sse' ? 'PROTOCOL 5.8' : 'PROTOCOL 5.7', 'MUST', `${live}: ${title}`, run, about)

    test5('delivers what a catch-up read delivers', async (t) => {
      const stream = await t.stream()
      const sent = Array.from({ length: 20 }, () => randomBatch(t.random)).flat()
      for (let at = 0; at < sent.length; at += 7) await stream.append(sent.slice(at, at + 7))
      t.delivered(sent, (await stream.read()).messages)
      t.delivered(sent, (await stream.collect(live, sent.length)).messages)
    })

    test5('delivers what is written while it is read, once and in order', async (t) => {
      const stream = await t.stream()
      const sent = Array.from({ length: 30 }, () => randomBatch(t.random, 4))
      const reading = t.again(stream).collect(live, sent.flat().length)
      reading.catch(() => {})
      for (const batch of sent) await stream.append(batch)
      t.delivered(sent.flat(), (await reading).messages)
      t.delivered(sent.flat(), (await stream.read()).messages)
    })

    test5('a reader of an empty stream is given its first change', async (t) => {
      const stream = await t.stream()
      const reading = t.again(stream).collect(live, 1)
      reading.catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, 100))
      const sent = [insert('user', 'first', entity('first'))]
      await stream.append(sent)
      t.delivered(sent, (await reading).messages)
    })

    test5('a reader that begins at an offset is given what comes after it', async (t) => {
      const stream = await t.stream()
      const sent = Array.from({ length: 12 }, () => randomBatch(t.random, 3))
      const offsets = []
      for (const batch of sent) offsets.push(await stream.append(batch))
      for (const index of [0, 5, 10]) {
        const rest = sent.slice(index + 1).flat()
        t.delivered(rest, (await stream.collect(live, rest.length, offsets[index])).messages)
      }
    })

    test5('texts that look like frames are only texts', async (t) => {
      const stream = await t.stream()
      const sent = HARD.map((text, n) => insert('user', `u${n}`, entity(`u${n}`, { name: text })))
      await stream.append(sent)
      t.delivered(sent, (await stream.collect(live, sent.length)).messages)
    })

    test5('white space between the tokens of a message does no harm', async (t) => {
      const stream = await t.stream()
      const sent = [insert('user', 'a', entity('a', { list: [1, 2] })), insert('user', 'b', entity('b'))]
      const bodies = [
        (text) => text.replaceAll('\n', '\r\n'),
        (text) => text.replaceAll('\n', '\r'),
        (text) => text,
        (text) => `\n\n${text}\n\n`,
      ]
      for (const body of bodies) {
        const answer = await stream.post(body(JSON.stringify(sent, null, 2)))
        assert.ok(answer.ok, `answered ${answer.status}`)
      }
      const all = bodies.flatMap(() => sent)
      t.delivered(all, (await stream.read()).messages)
      t.delivered(all, (await stream.collect(live, all.length)).messages)
    })

    test5('a value of 256 KiB comes whole', async (t) => {
      const stream = await t.stream()
      const sent = [
        insert('user', 'a', entity('a')),
        insert('user', 'big', entity('big', { text: '世界🦀 '.repeat(20_000) })),
        remove('user', 'a'),
      ]
      for (const message of sent) await stream.append([message])
      t.delivered(sent, (await stream.collect(live, sent.length)).messages)
    })

    test5('control messages stand where a catch-up read has them', async (t) => {
      const stream = await t.stream()
      const reset = await stream.post(
        JSON.stringify([insert('user', 'a', entity('a')), control('reset'), insert('user', 'b', entity('b'))]),
      )
      if (!reset.ok) t.skip('the server refuses control messages of clients')
      const catchUp = (await stream.read()).messages
      const { messages } = await stream.collect(live, catchUp.length, '-1', { controls: true })
      t.delivered(catchUp, messages)
      t.folds(messages, State.of(catchUp))
    })

    test5('ten readers are given the same', async (t) => {
      const stream = await t.stream()
      const sent = Array.from({ length: 10 }, () => randomBatch(t.random, 4))
      const readers = Array.from({ length: 10 }, () => t.again(stream).collect(live, sent.flat().length))
      for (const reading of readers) reading.catch(() => {})
      for (const batch of sent) await stream.append(batch)
      for (const reading of readers) t.delivered(sent.flat(), (await reading).messages)
    })

    test5("a transaction's id is on each of its changes", async (t) => {
      const stream = await t.stream()
      const reading = t.again(stream).collect(live, 4)
      reading.catch(() => {})
      const sent = ['a', 'b'].flatMap((key) => [
        insert('user', key, entity(key), { txid: 'tx-1' }),
        update('user', key, entity(key, { n: 1 }), { txid: 'tx-1' }),
      ])
      await stream.append(sent.slice(0, 2))
      await stream.append(sent.slice(2))
      const { messages } = await reading
      assert.deepEqual(
        messages.filter((message) => !isControl(message)).map(({ headers }) => headers.txid),
        Array(4).fill('tx-1'),
      )
    })
  }

  test(
    'PROTOCOL 5.8',
    'MUST',
    'sse: cut at random places and resumed, nothing is lost and nothing comes twice',
    async (t) => {
      const stream = await t.stream()
      const sent = Array.from({ length: 40 }, () => randomBatch(t.random, 4))
      for (const batch of sent.slice(0, 20)) await stream.append(batch)
      const cut = (responses) => (responses < 30 ? t.random.integer(1, 6_000) : Infinity)
      const reading = t.again(stream).collect('sse', sent.flat().length, '-1', { cut })
      reading.catch(() => {})
      for (const batch of sent.slice(20)) await stream.append(batch)
      t.delivered(sent.flat(), (await reading).messages)
    },
  )

  test('PROTOCOL 5.7', 'MUST', 'a reader may change between catch-up, long-poll and sse at any offset', async (t) => {
    const stream = await t.stream()
    const [sent, received] = [[], []]
    let offset = '-1'
    for (let round = 0; round < 12; round++) {
      const batch = randomBatch(t.random, 3)
      await stream.append(batch)
      sent.push(...batch)
      const how = t.random.pick(['catch-up', 'long-poll', 'sse'])
      const read = how === 'catch-up' ? await stream.read(offset) : await stream.collect(how, batch.length, offset)
      received.push(...read.messages)
      offset = read.offset
    }
    t.delivered(sent, received)
  })
})
