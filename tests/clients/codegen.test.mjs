// Generated TypeScript: it compiles as strictly as the compiler can be told to, against the published packages, and its
// validators say of every instance of the JSON Schema Test Suite what the server says.

import { createStreamDB } from '@durable-streams/state/db'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { Project } from './codegen.mjs'
import { execution, executionId, job } from './entities.mjs'
import { Server } from './server.mjs'
import { bind } from './writers.mjs'

const file = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url))
const issuesOf = (schema, value) => schema['~standard'].validate(value).issues

let project

beforeAll(async () => {
  project = await Project.start()
})

afterAll(() => project?.remove())

// What a project that uses the module would write; the compiler must take it, and refuse the marked lines.
const USE = `
import { createStreamDB } from '@durable-streams/state/db'
import { state, type Execution, type Job } from './workers.js'

export function open(url: string) {
  return createStreamDB({ streamOptions: { url, contentType: 'application/json' }, state })
}

export function use(db: ReturnType<typeof open>): Array<string | null | undefined> {
  const row = db.collections.execution.get('x')
  const job: Job = { id: 'j' }
  const done: Execution = { id: 'x', jobId: job.id, status: 'completed', exitCode: null }
  state.execution.upsert({ value: done })
  // @ts-expect-error: no such status
  const wrong: Execution = { id: 'x', jobId: 'j', status: 'exploded' }
  // @ts-expect-error: jobId is missing
  state.execution.insert({ value: { id: 'x', status: 'running' } })
  // @ts-expect-error: rows have no such member
  void row?.jobid
  return [row?.status, row?.startedAt, wrong.error]
}
`

describe('a state definition', () => {
  let server

  beforeAll(async () => {
    server = await Server.start()
    await bind(server, 'workers', 'netscript/workers/**')
    // From the server, as from a file.
    await project.generate('workers', 'workers@1', '--url', server.url)
    for (const name of ['auth', 'sagas', 'sessions', 'triggers']) {
      expect(await project.generate(name, file(`schemas/documents/${name}.json`))).toBe('')
    }
    await project.write('use.ts', USE)
    await project.compile()
  })

  afterAll(() => server?.remove())

  it('preloads from a server, and its validators accept and refuse what the server does', async () => {
    const url = `${server.url}/v1/stream/netscript/workers/generated`
    const { state } = await project.module('workers')
    const { open } = await project.module('use')
    const send = (event) =>
      fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify([event]) })
    expect((await send(state.execution.upsert({ value: execution(1) }))).status).toBe(204)
    expect((await send(state.job.upsert({ value: job(1) }))).status).toBe(204)

    const db = open(url)
    await db.preload()
    expect(db.collections.execution.get(executionId(1))).toMatchObject(execution(1))
    expect(db.collections.job.size).toBe(1)
    db.close()

    const values = [
      execution(2, { status: 'exploded' }),
      execution(2, { attempt: -1 }),
      execution(2, { attempt: 1.5 }),
      execution(2, { attempt: 2.0, exitCode: null }),
      execution(2, { triggeredAt: '2026-02-30T00:00:00Z' }),
      execution(2, { completedAt: null, result: { any: ['thing'] } }),
      execution(2, { id: 'no uuid' }),
      execution(2, { undeclared: true }),
      { id: executionId(2), status: 'running' },
      { ...execution(2), jobId: '' },
    ]
    for (const value of values) {
      const event = { type: 'execution', key: value.id, value, headers: { operation: 'upsert' } }
      const refused = issuesOf(state.execution.schema, value) !== undefined
      expect([JSON.stringify(value), (await send(event)).status]).toEqual([JSON.stringify(value), refused ? 422 : 204])
    }
    expect(() => state.execution.insert({ value: values[0] })).toThrow('is none of "pending"')
    expect(issuesOf(state.execution.schema, values[4])).toEqual([{ message: 'is no date-time', path: ['triggeredAt'] }])
  })

  it('takes only what JSON can say', async () => {
    const { state } = await project.module('triggers')
    const event = { eventId: 'e', triggerId: 't', kind: 'k', status: 'pending', detectedAt: '', updatedAt: '' }
    const with_ = (payload) => issuesOf(state.triggerEvent.schema, { ...event, payload })
    const circle = {}
    circle.inside = circle
    for (const payload of [new Date(), () => 1, 1n, NaN, Infinity, Symbol('s'), [undefined], circle]) {
      expect(with_(payload)).toHaveLength(1)
    }
    expect(with_(undefined)).toBeUndefined()
  })
})

it('names that no language has are told apart', async () => {
  const properties = { id: { type: 'string' }, constructor: { type: 'number' }, 'a-b': {}, a_b: {}, '': {}, '日本': {}, "it's\n\\": {} }
  // As text, since a literal would set the prototype.
  const schema = JSON.stringify({ type: 'object', properties, required: ['id'] }).replace('"a-b"', '"__proto__":{"type":"string"},"a-b"')
  const collection = (type) => `{"type":"${type}","primaryKey":"id","schema":${schema}}`
  const names = ['close', 'close_', 'class', 'Json', 'Array', 'string', '', '1', '日本', 'a-b', 'a_b', '__proto__', "it's */ `${x}`"].filter(Boolean)
  const text = names.map((name, index) => `${JSON.stringify(name)}:${collection(`t${index}`)}`).join(',')
  await project.write('hostile.json', `{"collections":{${text}}}`)
  expect(await project.generate('hostile', project.path('hostile.json'))).toContain('it is `close2` here')
  await project.compile()
  const { state } = await project.module('hostile')
  const types = Object.keys(state).map((name) => state[name].type)
  expect(new Set(types).size).toBe(names.length)
  const refused = JSON.parse('{"id":"x","__proto__":1}')
  expect(issuesOf(state.class.schema, refused)).toEqual([{ message: 'is not of type string', path: ['__proto__'] }])
  expect(issuesOf(state.class.schema, { id: 'x' })).toBeUndefined()
  expect(() => createStreamDB({ streamOptions: { url: 'http://127.0.0.1:1' }, state })).not.toThrow()
})

it('references that lead back to where they are end', async () => {
  const properties = {
    id: { type: 'string' },
    loop: { allOf: [{ $ref: '#/properties/loop' }, { anyOf: [{ $ref: '#/properties/loop' }] }] },
    tree: { type: 'array', contains: { $ref: '#/properties/tree' }, minContains: 0, items: { $ref: '#/properties/tree' } },
    names: { propertyNames: { $ref: '#/properties/id' }, additionalProperties: { $ref: '#/properties/names' } },
  }
  const schema = { type: 'object', required: ['id'], properties }
  await project.write('loops.json', JSON.stringify({ collections: { loops: { type: 't', primaryKey: 'id', schema } } }))
  await project.generate('loops', project.path('loops.json'))
  await project.compile()
  const { state } = await project.module('loops')
  expect(issuesOf(state.loops.schema, { id: 'x', loop: 1, tree: [[], [[]]], names: { a: { b: 1 } } })).toBeUndefined()
  const issues = issuesOf(state.loops.schema, { id: 'x', tree: [[], [[1]]] })
  expect(issues).toContainEqual({ message: 'is not of type array', path: ['tree', 1, 0, 0] })
})

// The dialect, and the keyword by which a schema names itself.
const DRAFTS = {
  draft4: ['http://json-schema.org/draft-04/schema#', 'id'],
  draft6: ['http://json-schema.org/draft-06/schema#', '$id'],
  draft7: ['http://json-schema.org/draft-07/schema#', '$id'],
  'draft2019-09': ['https://json-schema.org/draft/2019-09/schema', '$id'],
  'draft2020-12': ['https://json-schema.org/draft/2020-12/schema', '$id'],
}

/** A schema of the suite as a resource of its own. Up to draft 7 whatever stands beside `$ref` is ignored. */
function embedded(schema, dialect, id) {
  if (typeof schema === 'boolean') return schema
  const whole = { $schema: dialect, [id]: 'http://keyfold.example/suite', ...schema }
  if (whole.$schema.includes('/draft/20') || !('$ref' in schema)) return whole
  const kept = Object.entries(whole).filter(([name]) => [id, '$schema', 'definitions', '$defs'].includes(name))
  return { ...Object.fromEntries(kept), allOf: [{ $ref: schema.$ref }] }
}

/** What the validators do not answer as the suite does, by its file: each is in the notes, or asserted by the server too. */
const OTHERWISE = {
  // References to meta-schemas.
  definitions: 3,
  defs: 2,
  ref: 5,
  // 1.0 is an integer in JavaScript.
  'optional/zeroTerminatedFloats': 1,
  // Labels that begin with `xn--`.
  'optional/format/hostname': 69,
  'optional/format/idn-email': 6,
  'optional/format/idn-hostname': 162,
  // `format` is asserted; the suite has it as an annotation here.
  format: 17,
}

it('validators answer as the JSON Schema Test Suite does', { timeout: 120_000 }, async () => {
  const suites = []
  for (const [draft, [dialect, id]] of Object.entries(DRAFTS)) {
    const lines = (await readFile(file(`tests/fixtures/json-schema-test-suite/${draft}.ndjson`), 'utf8')).trim().split('\n')
    for (let begin = 0; begin < lines.length; begin += 100) {
      const groups = lines.slice(begin, begin + 100).map((line) => JSON.parse(line))
      suites.push(await generated(`suite-${draft}-${begin}`, groups, dialect, id))
    }
  }
  await project.compile()
  const [otherwise, counts] = [{}, { groups: 0, instances: 0 }]
  for (const { name, groups } of suites) {
    const { state } = await project.module(name)
    for (const [key, { schema }] of Object.entries(state)) {
      counts.groups += 1
      const { file: origin, tests } = groups[Number(key.slice(1))]
      for (const { data, valid } of tests) {
        counts.instances += 1
        const accepted = issuesOf(schema, { id: 'k', v: data }) === undefined
        if (accepted !== valid) otherwise[origin] = (otherwise[origin] ?? 0) + 1
      }
    }
  }
  // As many as the server registers.
  expect(counts).toEqual({ groups: 1630, instances: 8169 })
  expect(otherwise).toEqual(OTHERWISE)
})

/** Generates a module of the groups whose schema is sound. */
async function generated(name, groups, dialect, id) {
  const collections = {}
  groups.forEach(({ schema }, index) => {
    const v = embedded(schema, dialect, id)
    const properties = { id: { type: 'string' }, v }
    collections[`c${index}`] = { type: `t${index}`, primaryKey: 'id', schema: { $schema: dialect, type: 'object', required: ['id'], properties } }
  })
  for (;;) {
    await project.write(`${name}.json`, JSON.stringify({ collections }))
    try {
      await project.generate(name, project.path(`${name}.json`))
      return { name, groups }
    } catch (error) {
      const unsound = [...String(error.stderr).matchAll(/\/collections\/(c\d+)\//g)].map(([, key]) => key)
      if (unsound.length === 0) throw error
      for (const key of unsound) delete collections[key]
    }
  }
}
