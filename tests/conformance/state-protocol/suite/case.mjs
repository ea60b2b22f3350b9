// What a case is given: streams of its own, chance of its own, and the few comparisons that the cases share.

import assert from 'node:assert/strict'

import { Random } from './random.mjs'
import { State, difference, faultsOf, isControl, short, unchanged } from './messages.mjs'
import { Stream } from './stream.mjs'

/** Thrown by `skip`; the reason is shown. */
export class Skipped extends Error {}

const MARK = 'still-alive'

export class Case {
  #streams = 0
  #open = []

  /** `space` says where streams are made: `{url, headers, run, typed}`. */
  constructor(space, number, seed, signal) {
    Object.assign(this, { space, number, signal, random: new Random(seed) })
  }

  /** Whether the server checks what is written here. */
  get typed() {
    return this.space.typed
  }

  skip(reason) {
    throw new Skipped(reason)
  }

  /** A stream that nobody has used; not created yet. */
  unused() {
    const name = `state-${this.space.run}-${this.number}-${++this.#streams}`
    const stream = new Stream(`${this.space.url}/${name}`, { headers: this.space.headers, signal: this.signal })
    this.#open.push(stream)
    return stream
  }

  stream(messages, headers) {
    return this.unused().create(messages, headers)
  }

  /** A second reader or writer of a stream, that shares nothing with the first. */
  again(stream) {
    return new Stream(stream.url, { headers: stream.headers, signal: this.signal })
  }

  /** Deletes what was made; a server that cannot delete is no worse for it. */
  async clean(signal) {
    for (const stream of this.#open) {
      stream.signal = signal
      await stream.delete().catch(() => {})
    }
  }

  /** Appends messages in one stream and reads them back: each once, in order, with what the specification defines. */
  async roundTrip(messages) {
    const stream = await this.stream()
    await stream.append(messages)
    const { messages: received } = await stream.read()
    this.delivered(messages, received)
    return received
  }

  /** `received` is `sent`, in order, each once. Well-formed control messages of the server's own may stand in between. */
  delivered(sent, received) {
    let next = 0
    for (const message of received) {
      const wrong = next < sent.length ? difference(sent[next], message) : 'more messages than were sent'
      if (wrong === undefined) {
        this.wellFormed(message)
        next++
      } else if (isControl(message) && faultsOf(message).length === 0) {
        continue
      } else {
        assert.fail(
          `message ${next} of ${sent.length}: ${wrong}\n  sent     ${short(sent[next])}\n  received ${short(message)}`,
        )
      }
    }
    if (next < sent.length)
      assert.fail(`${next} of ${sent.length} messages came; the first missing is ${short(sent[next])}`)
  }

  wellFormed(message) {
    assert.deepEqual(faultsOf(message), [], `a malformed message was delivered: ${short(message)}`)
  }

  /** `fold(received)` is the state that the writer was told it made. */
  folds(received, oracle) {
    assert.deepEqual(State.of(received).entries(), oracle.entries(), 'the folded state is not what was written')
  }

  /**
   * Writes something that §5 does not allow, between two good messages. It may be refused, be kept from readers, or be
   * delivered as it was sent; it may not be repaired, and the good ones must be there. Says which it was.
   */
  async judged(bad) {
    const stream = await this.stream()
    const before = { type: 'user', key: 'before', value: { id: 'before' }, headers: { operation: 'insert' } }
    const after = { type: 'message', key: MARK, value: { id: MARK }, headers: { operation: 'insert' } }
    await stream.append([before])
    const answer = await stream.post(JSON.stringify([bad]))
    if (!answer.ok)
      assert.ok(answer.status >= 400 && answer.status < 500, `a malformed message was answered ${answer.status}`)
    await stream.append([after])
    const { messages } = await stream.read()
    const others = messages.filter(
      (message) => ![before, after].some((good) => difference(good, message) === undefined),
    )
    const servers = (message) => isControl(message) && faultsOf(message).length === 0 && !unchanged(bad, message)
    const foreign = others.filter((message) => !servers(message))
    this.delivered(
      [before, after],
      messages.filter((message) => !foreign.includes(message)),
    )
    if (foreign.length === 0) return answer.ok ? 'kept' : 'refused'
    assert.equal(foreign.length, 1, `one message became ${foreign.length}`)
    assert.ok(answer.ok, `a message that was refused with ${answer.status} was delivered all the same`)
    assert.ok(unchanged(bad, foreign[0]), `a malformed message was changed and delivered as ${short(foreign[0])}`)
    return 'delivered'
  }
}
