// Values (§4.1, §5.1): any JSON value, of any size that a server takes.

import assert from 'node:assert/strict'

import { State, entity, insert, update } from '../suite/messages.mjs'
import { group } from './define.mjs'

const ANY_VALUE = 'a schema decides which values there are'

const KINDS = {
  'a text': 'text',
  'an empty text': '',
  'a number': 17,
  zero: 0,
  'a fraction': -0.125,
  true: true,
  false: false,
  null: null,
  'a list': [1, 'two', [3]],
  'an empty list': [],
  'an object': { a: { b: [] } },
  'an empty object': {},
}

export default group('values', (test) => {
  for (const [what, value] of Object.entries(KINDS)) {
    test(
      '5.1',
      'MUST',
      `${what} is a value, and an old_value`,
      async (t) => {
        const sent = [insert('config', 'k', value), { ...update('config', 'k', value), old_value: value }]
        t.folds(await t.roundTrip(sent), State.of(sent))
      },
      { plain: ANY_VALUE },
    )
  }

  test(
    '5.1',
    'MUST',
    'an update to null is not a delete',
    async (t) => {
      const received = await t.roundTrip([insert('config', 'k', 1), update('config', 'k', null)])
      assert.equal(State.of(received).has('config', 'k'), true)
      assert.equal(received.at(-1).value, null)
    },
    { plain: ANY_VALUE },
  )

  test('6', 'MUST', 'an update replaces: a member that it leaves out is gone', async (t) => {
    const sent = [insert('user', 'u', entity('u', { name: 'Ada', n: 1 })), update('user', 'u', entity('u', { n: 2 }))]
    const received = await t.roundTrip(sent)
    assert.equal(JSON.stringify(Object.keys(received.at(-1).value).sort()), '["id","n"]')
  })

  test('5.1', 'MUST', 'members that are null stay', async (t) => {
    const received = await t.roundTrip([insert('user', 'u', entity('u', { extra: null, deep: { gone: null } }))])
    assert.deepEqual(received.at(-1).value, entity('u', { extra: null, deep: { gone: null } }))
  })

  const NUMBERS = [0, -1, 2 ** 53 - 1, -(2 ** 53 - 1), 0.1, 1 / 3, 1e308, 5e-324, -1.5e-7, 1e21, 123456789.987654321]
  test('5.1', 'MUST', 'numbers keep every digit that a double has', (t) =>
    t.roundTrip([insert('user', 'u', entity('u', { numbers: NUMBERS }))]),
  )

  const TEXTS = [
    'Grüße, 世界 🦀',
    '\u0000\u0001\u001f',
    '\u007f\u0080\u009f',
    '\u2028\u2029\ufeff',
    '\n\r\n\r\t',
    '"\\/\b\f',
    '</script>',
    'data: x\n\nevent: control',
    'e\u0301\u00e9',
    '\u202eabc',
    '👩‍👩‍👧‍👦',
    '\u{10ffff}',
    ' ',
    '',
  ]
  test('5.1', 'MUST', 'texts keep every character', (t) =>
    t.roundTrip([
      insert(
        'user',
        'u',
        entity('u', { texts: TEXTS, ...Object.fromEntries(TEXTS.map((text, n) => [`${text}${n}`, n])) }),
      ),
    ]),
  )

  test('5.1', 'MUST', 'a value may nest 64 deep', (t) => {
    let deep = 'bottom'
    for (let n = 0; n < 32; n++) deep = { n: [deep] }
    return t.roundTrip([insert('user', 'u', entity('u', { deep }))])
  })

  test('5.1', 'MUST', 'a value may have 1,000 members', (t) =>
    t.roundTrip([
      insert('user', 'u', entity('u', Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`member${n}`, n])))),
    ]),
  )

  test('5.1', 'MUST', 'a value of 256 KiB comes back whole', (t) => {
    const text = Array.from({ length: 16_384 }, () =>
      t.random.pick(['0123456789abcdef', 'Grüße, 世界..']).slice(0, 16),
    ).join('')
    return t.roundTrip([
      insert('user', 'small', entity('small')),
      insert('user', 'big', entity('big', { text })),
      insert('user', 'last', entity('last')),
    ])
  })

  test('5.1', 'MUST', "members named as the protocol's own mean nothing inside a value", (t) =>
    t.roundTrip([
      insert(
        'user',
        'u',
        entity('u', {
          type: 'message',
          key: 'other',
          headers: { operation: 'delete', control: 'reset' },
          value: null,
        }),
      ),
      insert('user', 'v', entity('v')),
    ]),
  )

  test('5.1', 'MUST', 'a value may have members that programs know', async (t) => {
    const value = JSON.parse('{"id":"u","__proto__":{"polluted":true},"constructor":{"prototype":1},"toString":"x"}')
    const received = await t.roundTrip([insert('user', 'u', value)])
    assert.equal(Object.hasOwn(received.at(-1).value, '__proto__'), true)
  })
})
