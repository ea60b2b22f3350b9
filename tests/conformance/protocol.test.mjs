// The public server suite, unmodified. `run.mjs` starts the server and counts what passed.

import { runConformanceTests } from '@durable-streams/server-conformance-tests'

runConformanceTests({
  baseUrl: process.env.KEYFOLD_URL,
  subscriptions: true,
  // As the server's --long-poll-ms: how long the suite waits for an empty long-poll.
  longPollTimeoutMs: Number(process.env.KEYFOLD_LONG_POLL_MS),
})
