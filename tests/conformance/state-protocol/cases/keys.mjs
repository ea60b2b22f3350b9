// Keys (§5.1): any non-empty string, compared as it is.

import { State, entity, insert, remove, update } from '../suite/messages.mjs'
import { group } from './define.mjs'

const KEYS = {
  'letters of many scripts': ['schlüssel', 'ключ', '鍵', 'مفتاح', 'कुंजी', '열쇠'],
  'characters beyond the basic plane': ['🦀', '👩‍👩‍👧‍👦', '𝒦', '\u{10ffff}'],
  'characters of URLs': ['a/b/c', '../up', '.', '..', '-', '?x=1#y', 'a%2Fb', '100%', '+', 'a b', '//', '*'],
  'characters of JSON': ['"', '\\', '\\u0041', '{"a":1}', '[1]', "it's", '/', '\u2028', '\u2029'],
  'names that programs know': [
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'null',
    'undefined',
    'NaN',
    'true',
  ],
  'names that the protocol knows': ['-1', 'now', 'type', 'key', 'headers', 'reset', '0000000000000000'],
  'numbers as text': ['0', '007', '7', '7.0', '1e3', '-0', '12345678901234567890'],
}

export default group('keys', (test) => {
  for (const [what, keys] of Object.entries(KEYS)) {
    test('5.1', 'MUST', `${what} are keys like any other`, async (t) => {
      const sent = [
        ...keys.map((key, n) => insert('user', key, entity(key, { n }))),
        ...keys.map((key, n) => update('user', key, entity(key, { n: n + 100 }))),
      ]
      t.folds(await t.roundTrip(sent), State.of(sent))
    })
  }

  const apart = (what, pair) =>
    test('2', 'MUST', `keys that differ only in ${what} are two entities`, async (t) => {
      const sent = [...pair.map((key, n) => insert('user', key, entity(key, { n }))), remove('user', pair[0])]
      const received = await t.roundTrip(sent)
      t.folds(received, State.of([insert('user', pair[1], entity(pair[1], { n: 1 }))]))
    })
  apart('case', ['Key', 'key'])
  apart('a space at the end', ['key', 'key '])
  apart('a space before', ['key', ' key'])
  apart('Unicode form', ['caf\u00e9', 'cafe\u0301'])
  apart('leading zeros', ['7', '07'])
  apart('a slash at the end', ['a', 'a/'])
  apart('percent-encoding', ['a b', 'a%20b'])
  apart('an invisible character', ['key', 'key\u200b'])

  test('5.1', 'MUST', 'a long key is a key', (t) => {
    const key = 'ключ/'.repeat(100)
    return t.roundTrip([insert('user', key, entity(key)), remove('user', key)])
  })

  test(
    '5.1',
    'MUST',
    'a key may hold control characters',
    (t) =>
      t.roundTrip(
        ['\t', 'a\nb', 'a\r\nb', '\u0000', '\u001b[0m', '\u007f'].map((key) => insert('user', key, { id: key })),
      ),
    { plain: 'a server that checks keys may refuse these (§9.4)' },
  )
})
