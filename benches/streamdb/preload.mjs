// An unmodified StreamDB from nothing to `preload()` resolved: `node preload.mjs <stream URL>`.
// Prints one JSON line: milliseconds, bytes of response bodies, requests, rows held.
import { DurableStream } from "@durable-streams/client"
import { createStateSchema } from "@durable-streams/state"
import { createStreamDB } from "@durable-streams/state/db"

const url = process.argv[2]
let bytes = 0
let requests = 0

const counted = async (...request) => {
  requests += 1
  const response = await fetch(...request)
  if (!response.body) return response
  const count = new TransformStream({
    transform(chunk, controller) {
      bytes += chunk.byteLength
      controller.enqueue(chunk)
    },
  })
  return new Response(response.body.pipeThrough(count), response)
}

// Standard Schema that takes what comes: the server has checked it.
const schema = { "~standard": { version: 1, vendor: "bench", validate: (value) => ({ value }) } }
const state = createStateSchema({ items: { schema, type: "item", primaryKey: "id" } })

const began = performance.now()
const stream = new DurableStream({ url, contentType: "application/json", fetch: counted })
const db = createStreamDB({ stream, state })
await db.preload()
const ms = performance.now() - began
// Taken before the live request that follows brings anything.
console.log(JSON.stringify({ ms, bytes, requests, rows: db.collections.items.size }))
db.close()
process.exit(0)
