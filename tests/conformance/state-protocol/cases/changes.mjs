// Change messages (§4.1, §5.1): each operation, and what travels with it.

import assert from 'node:assert/strict'

import { State, canonical, entity, insert, remove, update } from '../suite/messages.mjs'
import { group } from './define.mjs'

const ANY_VALUE = 'a schema decides which values there are'
const ANY_TYPE = 'a schema decides which types there are'

export default group('changes', (test) => {
  test('4.1.1', 'MUST', 'an insert is delivered as it was sent', (t) =>
    t.roundTrip([insert('user', 'user:1', entity('user:1', { name: 'Ada' }))]),
  )

  test('4.1.2', 'MUST', 'an update is delivered as it was sent', (t) =>
    t.roundTrip([
      insert('user', 'user:1', entity('user:1', { name: 'Ada' })),
      update('user', 'user:1', entity('user:1', { name: 'Ada L.' })),
    ]),
  )

  test('4.1.2', 'MUST', 'an update keeps its old_value', (t) =>
    t.roundTrip([
      insert('user', 'user:1', entity('user:1', { name: 'Ada' })),
      {
        ...update('user', 'user:1', entity('user:1', { name: 'Ada L.' })),
        old_value: entity('user:1', { name: 'Ada' }),
      },
    ]),
  )

  test('4.1.3', 'MUST', 'a delete without a value is delivered without one', async (t) => {
    const [, last] = await t.roundTrip([insert('user', 'user:1', entity('user:1')), remove('user', 'user:1')])
    assert.ok((last.value ?? null) === null, 'the delete was given a value')
  })

  test('4.1.3', 'MUST', 'a delete with the value null removes as well', async (t) => {
    const received = await t.roundTrip([
      insert('user', 'user:1', entity('user:1')),
      { ...remove('user', 'user:1'), value: null },
      insert('user', 'user:2', entity('user:2')),
    ])
    assert.equal(received.length >= 3, true)
  })

  test('4.1.3', 'MUST', 'a delete keeps its old_value', (t) =>
    t.roundTrip([
      insert('user', 'user:1', entity('user:1', { name: 'Ada' })),
      { ...remove('user', 'user:1'), old_value: entity('user:1', { name: 'Ada' }) },
    ]),
  )

  test('4.1.1', 'SHOULD', 'an insert with an old_value is refused, or delivered with it', async (t) => {
    const message = { ...insert('user', 'user:1', entity('user:1')), old_value: entity('user:1', { name: 'before' }) }
    const stream = await t.stream()
    const answer = await stream.post(JSON.stringify([message]))
    const { messages } = await stream.read()
    t.delivered(answer.ok ? [message] : [], messages)
  })

  test('4.1', 'MAY', 'an upsert, which published clients send, is delivered as it was sent', (t) =>
    t.roundTrip([
      { ...insert('user', 'user:1', entity('user:1')), headers: { operation: 'upsert' } },
      { ...insert('user', 'user:1', entity('user:1', { name: 'Ada' })), headers: { operation: 'upsert' } },
    ]),
  )

  test('4.1', 'MUST', 'one object as a body is one change', async (t) => {
    const stream = await t.stream()
    const sent = [insert('user', 'a', entity('a')), update('user', 'a', entity('a', { name: 'b' }))]
    for (const message of sent) assert.ok((await stream.post(JSON.stringify(message))).ok)
    t.delivered(sent, (await stream.read()).messages)
  })

  test('8.3', 'MUST', 'a stream carries several entity types', (t) =>
    t.roundTrip([
      insert('user', 'user:1', entity('user:1', { name: 'Ada' })),
      insert('message', 'msg:1', entity('msg:1', { text: 'hi' })),
      insert('reaction', 'reaction:1', entity('reaction:1', { emoji: '🦀' })),
    ]),
  )

  test('2', 'MUST', 'one key under two types is two entities', async (t) => {
    const received = await t.roundTrip([
      insert('user', 'same', entity('same', { name: 'u' })),
      insert('message', 'same', entity('same', { text: 'm' })),
      remove('user', 'same'),
    ])
    t.folds(received, State.of([insert('message', 'same', entity('same', { text: 'm' }))]))
  })

  test(
    '4.1',
    'MUST',
    'types that differ only in case, spaces or form are different types',
    (t) =>
      t.roundTrip(
        ['user', 'User', ' user', 'user ', 'Ünit', 'U\u0308nit', '用户', '__proto__', 'a/b?c#d'].map((type, n) =>
          insert(type, 'k', { n }),
        ),
      ),
    { plain: ANY_TYPE },
  )

  const TIMES = [
    '2025-01-15T10:30:00Z',
    '2025-01-15T10:30:00.123456789Z',
    '2025-01-15T10:30:00+05:30',
    '1985-04-12T23:20:50.52-08:00',
    '2016-12-31T23:59:60Z',
    '2025-01-15T10:30:00.000Z',
    '0001-01-01T00:00:00Z',
    '2025-01-15t10:30:00z',
    '1969-12-31T23:59:59Z',
    '9999-12-31T23:59:59Z',
  ]
  test('5.1', 'MUST', 'a timestamp keeps its text, whatever its precision and zone', (t) =>
    t.roundTrip(TIMES.map((timestamp, n) => insert('user', `u${n}`, entity(`u${n}`), { timestamp }))),
  )

  test(
    '4.1',
    'MUST',
    'a txid is delivered with every change of its transaction, over types and batches',
    async (t) => {
      const stream = await t.stream()
      const batches = [1, 2, 3].map((n) => [
        insert('user', `u${n}`, entity(`u${n}`), { txid: 'tx-1' }),
        insert('message', `m${n}`, entity(`m${n}`), { txid: n === 2 ? 'tx-2' : 'tx-1' }),
        insert('reaction', `r${n}`, entity(`r${n}`)),
      ])
      for (const batch of batches) await stream.append(batch)
      t.delivered(batches.flat(), (await stream.read()).messages)
    },
  )

  test('9.5', 'MUST', 'a txid is opaque: any text comes back as it was', (t) =>
    t.roundTrip(
      [
        '0',
        '00017',
        '9007199254740993',
        'null',
        'a b\tc',
        'ü🦀',
        '"',
        '\\',
        '00000000-0000-4000-8000-000000000000',
        'x'.repeat(500),
      ].map((txid, n) => insert('user', `u${n}`, entity(`u${n}`), { txid })),
    ),
  )

  const UNKNOWN = {
    correlationId: 'c-1',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    'x-number': 1.5,
    'x-null': null,
    'x-list': [1, [2, { three: 3 }]],
    'x-object': { b: 1, a: { c: '🦀' } },
    'Ünknown header': '',
  }
  test('5.1', 'SHOULD', 'header fields that the specification does not name come back', async (t) => {
    const [received] = await t.roundTrip([insert('user', 'u1', entity('u1'), UNKNOWN)])
    for (const [name, value] of Object.entries(UNKNOWN)) {
      assert.equal(canonical(received.headers[name] ?? null), canonical(value), `headers.${name}`)
    }
  })

  test('5.1', 'SHOULD', 'members that the specification does not name come back', async (t) => {
    const [received] = await t.roundTrip([
      { ...insert('user', 'u1', entity('u1')), meta: { by: 'someone', list: [1, 2] } },
    ])
    assert.equal(canonical(received.meta ?? null), canonical({ by: 'someone', list: [1, 2] }))
  })

  test('4.1', 'SHOULD', 'members of a value keep their order', async (t) => {
    const value = { id: 'u1', z: 1, a: 2, m: { y: 1, b: 2 } }
    const [received] = await t.roundTrip([insert('user', 'u1', value)])
    assert.equal(JSON.stringify(received.value), JSON.stringify(value))
  })

  test(
    '8.1',
    'MUST',
    'a value need not be an object',
    (t) =>
      t.roundTrip([
        insert('config', 'theme', 'dark'),
        update('config', 'theme', 'light'),
        insert('config', 'volume', 11),
      ]),
    { plain: ANY_VALUE },
  )
})
