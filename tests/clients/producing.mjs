// A process of its own with a NetScript producer in it: `node producing.mjs URL ID FIRST COUNT`. Prints what became of it.

import { execution, executionId } from './entities.mjs'
import { NetScriptProducer, traced } from './netscript.mjs'
import { change } from './writers.mjs'

const [url, id, first, count] = process.argv.slice(2)
const producer = new NetScriptProducer(url, id)
for (let n = 0; n < Number(count); n++) {
  const number = Number(first) + n
  producer.enqueue(change('execution', executionId(number), execution(number), traced()))
  // As work comes: not all at once, so that two processes take turns.
  await new Promise((resolve) => setTimeout(resolve, 5))
}
await producer.flush()
const { receipts, dead, lost, epoch } = producer
console.log(JSON.stringify({ receipts, dead, lost, epoch }))
