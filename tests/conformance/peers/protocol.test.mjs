// The public server suite, all of it, for the table of peers. What a server leaves out counts against it here.

import { runConformanceTests } from '@durable-streams/server-conformance-tests'

runConformanceTests({
  baseUrl: process.env.PEER_URL,
  longPollTimeoutMs: Number(process.env.PEER_LONG_POLL_MS),
  subscriptions: true,
})
