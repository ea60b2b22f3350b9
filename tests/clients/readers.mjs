// The published readers, set up as their documentation says, and what they show as plain objects.

import { DurableStream, stream as read } from '@durable-streams/client'
import { MaterializedState, createStateSchema, isChangeEvent } from '@durable-streams/state'
import { createStreamDB } from '@durable-streams/state/db'
import { expect } from 'vitest'

import { document } from './writers.mjs'

/** Values are objects; the server has checked the rest. */
const anyObject = {
  '~standard': {
    version: 1,
    vendor: 'keyfold-tests',
    validate: (value) =>
      value !== null && typeof value === 'object' ? { value } : { issues: [{ message: 'not an object' }] },
  },
}

/** A document as StreamDB describes the same thing. */
export async function stateSchema(subject) {
  const { collections } = await document(subject)
  const described = Object.entries(collections).map(([name, { type, primaryKey }]) => [
    name,
    { schema: anyObject, type, primaryKey },
  ])
  return createStateSchema(Object.fromEntries(described))
}

/** A StreamDB; not loaded yet. */
export async function streamDB(url, subject, options = {}) {
  const stream = new DurableStream({ url, contentType: 'application/json' })
  return createStreamDB({ stream, state: await stateSchema(subject), ...options })
}

/** The rows of a collection by key, without what StreamDB adds to them. */
export function rows(db, collection) {
  return Object.fromEntries(
    [...db.collections[collection].entries()].map(([key, row]) => [
      key,
      Object.fromEntries(Object.entries(row).filter(([name]) => name !== '_seq' && !name.startsWith('$'))),
    ]),
  )
}

/** Waits until a StreamDB shows exactly these rows: collection → key → value. */
export async function shows(db, expected, timeout = 15_000) {
  const shown = () => Object.fromEntries(Object.keys(expected).map((name) => [name, rows(db, name)]))
  await expect.poll(shown, { timeout, interval: 20 }).toEqual(expected)
}

/** Everything that a plain read of the protocol gives, in order, up to the tail. */
export async function messages(url, options = {}) {
  // The client's `live: false` is one page, whatever follows it; `json()` ends a live read at the tail.
  return (await read({ url, offset: '-1', live: true, json: true, ...options })).json()
}

/** The state that `MaterializedState` makes of a plain read. */
export async function materialized(url) {
  const state = new MaterializedState()
  state.applyBatch((await messages(url)).filter(isChangeEvent))
  return state
}
