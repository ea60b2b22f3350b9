// Validation (§7, §9): only where a server validates, with the schemas of schema.json.

import assert from 'node:assert/strict'

import { State, difference, entity, insert, remove, update } from '../suite/messages.mjs'
import { group } from './define.mjs'
import { MALFORMED } from './malformed.mjs'

const TYPED = { typedOnly: true }

/** Values that schema.json does not allow. */
const INVALID = {
  'a value of the wrong kind': insert('user', 'bad', 'text'),
  'a value without a required member': insert('user', 'bad', { name: 'no id' }),
  'a value with a member of the wrong kind': insert('user', 'bad', entity('bad', { name: 17 })),
  'an update to a value of the wrong kind': update('message', 'bad', entity('bad', { n: 'many' })),
  'a value that is null': insert('user', 'bad', null),
}

const batchOf = (bad) => [
  insert('user', 'a', entity('a', { n: 1 })),
  bad,
  insert('message', 'b', entity('b', { text: 'x' })),
]

export default group('validation', (test) => {
  for (const [what, message] of Object.entries(MALFORMED)) {
    test(
      '9.1',
      'SHOULD',
      `${what} never reaches a reader`,
      async (t) => {
        assert.notEqual(await t.judged(message), 'delivered')
      },
      TYPED,
    )
  }

  for (const [what, message] of Object.entries(INVALID)) {
    test(
      '7',
      'SHOULD',
      `${what} never reaches a reader`,
      async (t) => {
        assert.notEqual(await t.judged(message), 'delivered')
      },
      TYPED,
    )
  }

  test(
    '9.4',
    'SHOULD',
    'a type that no schema knows never reaches a reader',
    async (t) => {
      assert.notEqual(await t.judged(insert('spaceship', 's', entity('s'))), 'delivered')
    },
    TYPED,
  )

  test(
    '9.4',
    'SHOULD',
    "a key that is not the value's own never reaches a reader",
    async (t) => {
      assert.notEqual(await t.judged(insert('user', 'one', entity('other'))), 'delivered')
    },
    TYPED,
  )

  test(
    '7',
    'MUST',
    'a batch with an invalid change is refused whole, or loses only that one',
    async (t) => {
      for (const bad of Object.values(INVALID)) {
        const stream = await t.stream()
        const batch = batchOf(bad)
        const answer = await stream.post(JSON.stringify(batch))
        t.delivered(answer.ok ? [batch[0], batch[2]] : [], (await stream.read()).messages)
      }
    },
    TYPED,
  )

  test(
    '7',
    'SHOULD',
    'an invalid change does not stop other types',
    async (t) => {
      const stream = await t.stream()
      const sent = []
      for (const bad of Object.values(INVALID)) {
        const good = insert('reaction', `r${sent.length}`, entity(`r${sent.length}`, { emoji: '🦀' }))
        await stream.post(JSON.stringify([bad]))
        await stream.append([good])
        sent.push(good)
      }
      t.delivered(sent, (await stream.read()).messages)
    },
    TYPED,
  )

  test(
    '9.2',
    'MUST',
    'an invalid update leaves the valid value in place',
    async (t) => {
      const stream = await t.stream()
      const good = insert('user', 'u', entity('u', { name: 'Ada' }))
      await stream.append([good])
      await stream.post(JSON.stringify([update('user', 'u', entity('u', { name: 17 }))]))
      t.folds((await stream.read()).messages, State.of([good]))
    },
    TYPED,
  )

  test(
    '7',
    'MUST',
    'what a stream is created with is validated as well',
    async (t) => {
      const stream = t.unused()
      const bad = INVALID['a value with a member of the wrong kind']
      await stream.create([bad]).catch(() => stream.create())
      const { messages } = await stream.read()
      assert.equal(
        messages.some((message) => difference(bad, message) === undefined),
        false,
      )
    },
    TYPED,
  )

  test(
    '7',
    'MUST',
    'a delete needs no value, whatever the schema says',
    async (t) => {
      const stream = await t.stream()
      const sent = [insert('user', 'u', entity('u')), remove('user', 'u')]
      await stream.append(sent)
      t.folds((await stream.read()).messages, new State())
    },
    TYPED,
  )

  for (const live of ['long-poll', 'sse']) {
    test(
      '9.2',
      'MUST',
      `${live}: only valid changes come`,
      async (t) => {
        const stream = await t.stream()
        const good = Array.from({ length: 6 }, (_, n) => insert('user', `u${n}`, entity(`u${n}`, { n })))
        const reading = t.again(stream).collect(live, good.length)
        reading.catch(() => {})
        for (const message of good) {
          await stream.post(JSON.stringify([t.random.pick(Object.values(INVALID))]))
          await stream.append([message])
        }
        t.delivered(good, (await reading).messages)
      },
      TYPED,
    )
  }
})
