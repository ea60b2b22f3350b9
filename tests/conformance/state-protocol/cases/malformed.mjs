// Malformed messages (§5, §9.1). A server may take what is not JSON for nothing, but a message that only breaks the State
// Protocol it may refuse, keep from readers, or deliver as it is; never repair, and never at the cost of its neighbours.

import assert from 'node:assert/strict'

import { entity, insert } from '../suite/messages.mjs'
import { group } from './define.mjs'

const good = insert('user', 'u', entity('u'))
const without = (name) => Object.fromEntries(Object.entries(good).filter(([member]) => member !== name))
const headers = (members) => ({ ...good, headers: members })

/** What §5.1 and §5.2 do not allow, by what is wrong with it. */
export const MALFORMED = {
  'a number': 17,
  'a text': 'insert',
  true: true,
  'an empty object': {},
  'a change without type': without('type'),
  'an empty type': { ...good, type: '' },
  'a type that is a number': { ...good, type: 7 },
  'a type that is null': { ...good, type: null },
  'a change without key': without('key'),
  'an empty key': { ...good, key: '' },
  'a key that is a number': { ...good, key: 7 },
  'a key that is null': { ...good, key: null },
  'a change without headers': without('headers'),
  'headers that are null': headers(null),
  'headers that are a list': headers([]),
  'headers that are a text': headers('insert'),
  'a change without operation': headers({}),
  'an operation that nobody knows': headers({ operation: 'replace' }),
  'an operation in capitals': headers({ operation: 'INSERT' }),
  'an operation that is null': headers({ operation: null }),
  'an insert without value': without('value'),
  'an update without value': { type: 'user', key: 'u', headers: { operation: 'update' } },
  'an empty txid': headers({ operation: 'insert', txid: '' }),
  'a txid that is a number': headers({ operation: 'insert', txid: 7 }),
  'a timestamp that is not one': headers({ operation: 'insert', timestamp: 'yesterday' }),
  'a timestamp that is a number': headers({ operation: 'insert', timestamp: 1705312200000 }),
  'a timestamp without a zone': headers({ operation: 'insert', timestamp: '2025-01-15T10:30:00' }),
  'a timestamp with a zone that lacks its colon': headers({
    operation: 'insert',
    timestamp: '2025-01-15T10:30:00+0530',
  }),
  'a timestamp of no day': headers({ operation: 'insert', timestamp: '2025-02-30T10:30:00Z' }),
  'a control that nobody knows': { headers: { control: 'rewind' } },
  'a control that is null': { headers: { control: null } },
  'a control with an offset that is a number': { headers: { control: 'reset', offset: 7 } },
}

export default group('malformed', (test) => {
  for (const [what, message] of Object.entries(MALFORMED)) {
    test('5', 'MUST', `${what} is refused, kept from readers, or delivered as it was sent`, async (t) => {
      await t.judged(message)
    })
  }

  test('PROTOCOL 9.1.4', 'MUST', 'what is not JSON is 400, and nothing of it is delivered', async (t) => {
    const stream = await t.stream()
    await stream.append([good])
    for (const body of [
      '{',
      '[{"a":1},',
      'nonsense',
      '{"a":1} {"b":2}',
      "{'a':1}",
      '[NaN]',
      '{"a":undefined}',
      '\u0000',
    ]) {
      const answer = await stream.post(body)
      assert.equal(answer.status, 400, `${JSON.stringify(body)} was answered ${answer.status}`)
    }
    t.delivered([good], (await stream.read()).messages)
  })

  test('PROTOCOL 9.1.3', 'MUST', 'an empty array is 400', async (t) => {
    const stream = await t.stream()
    assert.equal((await stream.post('[]')).status, 400)
    assert.deepEqual((await stream.read()).messages, [])
  })

  test('5.1', 'MUST', 'a good batch after a bad one is whole', async (t) => {
    const stream = await t.stream()
    await stream.post('[{"type":"user"')
    const batch = Array.from({ length: 5 }, (_, n) => insert('user', `u${n}`, entity(`u${n}`)))
    await stream.append(batch)
    t.delivered(batch, (await stream.read()).messages)
  })
})
