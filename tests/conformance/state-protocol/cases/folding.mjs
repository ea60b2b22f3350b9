// Materialised state (§6): what a reader folds is what the writer was told it made, whatever was written.

import assert from 'node:assert/strict'

import { State, control, entity, insert, isControl, remove, update } from '../suite/messages.mjs'
import { group } from './define.mjs'

const TYPES = ['user', 'message', 'reaction']
const KEYS = ['a', 'b', 'c', 'ä/b', '🦀', '7', '__proto__', 'a b']

/** A batch that a writer could send: operations on few keys, so that they meet. */
export function randomBatch(random, most = 8) {
  return Array.from({ length: random.integer(1, most) }, () => {
    const [type, key] = [random.pick(TYPES), random.pick(KEYS)]
    const headers = random.chance(0.2) ? { txid: `tx-${random.integer(0, 99)}` } : {}
    if (random.chance(0.25)) return remove(type, key, headers)
    const value = entity(key, {
      n: random.integer(0, 1e6),
      ...(random.chance(0.3) ? { name: random.pick(KEYS) } : {}),
    })
    return random.chance(0.4) ? insert(type, key, value, headers) : update(type, key, value, headers)
  })
}

/** Writes batches; an oracle learns of each only once the writer was told. */
async function written(stream, random, count, oracle = new State(), most) {
  for (let n = 0; n < count; n++) {
    const batch = randomBatch(random, most)
    await stream.append(batch)
    for (const message of batch) oracle.apply(message)
  }
  return oracle
}

export default group('folding', (test) => {
  for (const history of [1, 2, 3, 4, 5]) {
    test('6', 'MUST', `random history ${history}: a late reader folds what was written`, async (t) => {
      const stream = await t.stream()
      const oracle = await written(stream, t.random, 30)
      t.folds((await stream.read()).messages, oracle)
    })
  }

  for (const history of [1, 2, 3]) {
    test(
      '6',
      'MUST',
      `random history ${history}: a reader that goes on after each batch folds the same`,
      async (t) => {
        const stream = await t.stream()
        const [oracle, state] = [new State(), new State()]
        let offset = '-1'
        for (let n = 0; n < 25; n++) {
          await written(stream, t.random, 1, oracle)
          if (t.random.chance(0.3)) continue
          const read = await stream.read(offset)
          for (const message of read.messages) state.apply(message)
          offset = read.offset
          assert.deepEqual(state.entries(), oracle.entries(), `after batch ${n + 1}`)
        }
      },
    )
  }

  test('6', 'MUST', 'any reader folds the same, from the beginning or resumed at any offset', async (t) => {
    const stream = await t.stream()
    const oracle = new State()
    const places = [{ offset: '-1', entries: [], sent: [] }]
    const sent = []
    for (let n = 0; n < 12; n++) {
      const batch = randomBatch(t.random)
      const offset = await stream.append(batch)
      sent.push(...batch)
      for (const message of batch) oracle.apply(message)
      places.push({ offset, sent: [...sent] })
    }
    for (const place of places) {
      const { messages } = await t.again(stream).read(place.offset)
      t.folds([...place.sent, ...messages], oracle)
    }
  })

  test('6', 'MUST', 'random histories with resets fold the same', async (t) => {
    const stream = await t.stream()
    const oracle = new State()
    for (let round = 0; round < 5; round++) {
      await written(stream, t.random, 6, oracle)
      const reset = control('reset')
      const answer = await stream.post(JSON.stringify([reset]))
      if (answer.ok) oracle.apply(reset)
      await written(stream, t.random, 3, oracle)
      t.folds((await stream.read()).messages, oracle)
    }
  })

  test('6', 'MUST', 'everything deleted folds to nothing', async (t) => {
    const stream = await t.stream()
    await written(stream, t.random, 20)
    await stream.append(TYPES.flatMap((type) => KEYS.map((key) => remove(type, key))))
    t.folds((await stream.read()).messages, new State())
  })

  test('6', 'MUST', "what was refused is in no reader's state", async (t) => {
    const stream = await t.stream()
    const oracle = await written(stream, t.random, 5)
    for (const body of ['{', '[{"type":"user",]', 'not json', '[]', '']) {
      const answer = await stream.post(body)
      assert.equal(answer.status, 400, `${JSON.stringify(body)} was answered ${answer.status}`)
    }
    await written(stream, t.random, 5, oracle)
    t.folds((await stream.read()).messages, oracle)
  })

  for (const live of ['long-poll', 'sse']) {
    test('6', 'MUST', `random history, read by ${live} while it is written, folds the same`, async (t) => {
      const stream = await t.stream()
      const oracle = new State()
      const sent = Array.from({ length: 25 }, () => randomBatch(t.random))
      const reading = t.again(stream).collect(live, sent.flat().length)
      reading.catch(() => {})
      for (const batch of sent) {
        await stream.append(batch)
        for (const message of batch) oracle.apply(message)
      }
      const { messages } = await reading
      t.folds(
        messages.filter((message) => !isControl(message) || message.headers.control === 'reset'),
        oracle,
      )
    })
  }
})
