// A Keyfold server of our own: the real binary, on a free port, with its own data directory.
//
// It keeps its port over restarts, so that clients which reconnect find it again. Only node's own modules are used:
// every suite beside this one, and the example, start their servers here.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 20_000

/** The binary: `KEYFOLD_BIN`, or what `cargo build` made. */
export function binary() {
  const target = path.resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target')
  const found = process.env.KEYFOLD_BIN ?? path.join(target, 'debug', 'keyfold')
  if (!existsSync(found)) throw new Error(`${found} is missing: run \`cargo build\`, or set KEYFOLD_BIN`)
  return found
}

/** The settings that developers keep in their environment are not those of a test. */
function environment() {
  const ours = /^(KEYFOLD_(?!BIN$)|STREAMS_|DURABLE_STREAMS_)|^PORT$/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)))
}

export class Server {
  #child
  #exited
  #args
  #log = []

  /** Starts a server and resolves once it serves. */
  static async start({ store = 'journal', args = ['--long-poll-ms', '500'] } = {}) {
    const server = new Server()
    server.dataDir = await mkdtemp(path.join(tmpdir(), 'keyfold-node-'))
    server.#args = ['--store', store, '--data-dir', server.dataDir, '--log-format', 'json', ...args]
    await server.#run(0)
    return server
  }

  get pid() {
    return this.#child.pid
  }

  /** What the server logged since it was first started. */
  get log() {
    return this.#log.join('\n')
  }

  async #run(port) {
    const child = spawn(binary(), ['serve', '--port', String(port), ...this.#args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: environment(),
    })
    this.#child = child
    this.#exited = new Promise((resolve) => child.once('exit', resolve))
    // A suite that ends early must not leave a server behind.
    const orphan = () => child.kill('SIGKILL')
    process.once('exit', orphan)
    child.once('exit', () => process.off('exit', orphan))
    this.url = await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`no server after ${START_TIMEOUT_MS} ms\n${this.log}`)), START_TIMEOUT_MS)
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}\n${this.log}`)))
      readline.createInterface({ input: child.stderr }).on('line', (line) => {
        this.#log.push(line)
        const url = servingUrl(line)
        if (url === undefined) return
        clearTimeout(late)
        resolve(url)
      })
    })
  }

  /** Asks the server to stop, and waits until it has. */
  async stop() {
    await this.#end('SIGTERM')
  }

  /** Ends the server without warning. */
  async kill() {
    await this.#end('SIGKILL')
  }

  async #end(signal) {
    const child = this.#child
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await this.#exited
    clearTimeout(late)
    if (signal === 'SIGTERM' && child.exitCode !== 0) {
      throw new Error(`the server stopped with ${child.exitCode ?? child.signalCode}\n${this.log}`)
    }
  }

  /** Starts again on the same port and data. */
  async startAgain() {
    await this.#run(Number(new URL(this.url).port))
  }

  async restart(how = 'stop') {
    await this[how]()
    await this.startAgain()
  }

  /** Stops the server and removes its data. */
  async remove() {
    try {
      await this.stop()
    } finally {
      await rm(this.dataDir, { recursive: true, force: true })
    }
  }
}

function servingUrl(line) {
  try {
    const entry = JSON.parse(line)
    return entry.message === 'keyfold serves' ? entry.url : undefined
  } catch {
    return undefined
  }
}
