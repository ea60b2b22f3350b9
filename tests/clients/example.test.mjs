// The example runs as its README says.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

import { Server } from './server.mjs'

it('the dashboard shows what the server holds', async () => {
  const server = await Server.start()
  try {
    const dashboard = fileURLToPath(new URL('../../examples/node/dashboard.mjs', import.meta.url))
    const env = { ...process.env, KEYFOLD_URL: server.url }
    const { stdout } = await promisify(execFile)(process.execPath, [dashboard], { env })
    expect(stdout).toContain('the dashboard shows what the server holds')
  } finally {
    await server.remove()
  }
})
