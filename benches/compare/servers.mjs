// The servers that are held against each other: how each is installed below a folder, started and stopped.
//
// Peers are built as they are published, with their own release profiles; the ones of tests/conformance are built in a
// hurry and are of no use here.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const START_TIMEOUT_MS = 60_000

/** The release build: `KEYFOLD_BIN`, or what `cargo build --release` made. */
export function binary() {
  const target = path.resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target')
  const found = process.env.KEYFOLD_BIN ?? path.join(target, 'release', 'keyfold')
  if (!existsSync(found)) throw new Error(`${found} is missing: run \`cargo build --release\`, or set KEYFOLD_BIN`)
  return found
}

/** Runs a program to its end; resolves with what it printed, rejects with what it complained of. */
export function finished(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
    let [output, log] = ['', '']
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (log = (log + chunk).slice(-4_000)))
    child.once('error', reject)
    child.once('close', (code) =>
      code === 0 ? resolve(output) : reject(new Error(`${program} ${args.join(' ')} ended with ${code}\n${log}`)),
    )
  })
}

async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

function connects(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true) || socket.destroy())
    socket.once('error', () => resolve(false))
  })
}

/** A server with data of its own, on a port that stays when it is started again. */
class Server {
  constructor(kind, program, { around = [], flags = [] } = {}) {
    Object.assign(this, { kind, program, around, flags })
  }

  static async start(kind, dir, options) {
    const server = new Server(kind, await kind.install(dir), options)
    server.data = await mkdtemp(path.join(options?.data ?? tmpdir(), 'compare-'))
    server.port = await freePort()
    server.url = `http://127.0.0.1:${server.port}`
    await server.startAgain()
    return server
  }

  /** Resolves once it answers; how long that took, in milliseconds. */
  async startAgain() {
    const [program, ...args] = [...this.around, ...this.kind.command(this.program, this.port, this.data), ...this.flags]
    const began = performance.now()
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: process.env.PATH } })
    this.child = child
    this.exited = new Promise((resolve) => child.once('exit', resolve))
    let log = ''
    child.stderr.on('data', (chunk) => (log = (log + chunk).slice(-4_000)))
    this.log = () => log
    const orphan = () => child.kill('SIGKILL')
    process.once('exit', orphan)
    child.once('exit', () => process.off('exit', orphan))
    while (!(await connects(this.port)) || !(await this.kind.ready(this.url))) {
      if (child.exitCode !== null || performance.now() - began > START_TIMEOUT_MS) {
        child.kill('SIGKILL')
        throw new Error(`${program} ${args.join(' ')} does not answer\n${log}`)
      }
      await sleep(5)
    }
    return performance.now() - began
  }

  get pid() {
    return this.child.pid
  }

  async stop(signal = 'SIGKILL') {
    this.child.kill(signal)
    await this.exited
  }

  async remove() {
    await this.stop()
    await rm(this.data, { recursive: true, force: true })
  }
}

export const start = Server.start

const answers = async () => true

export const KEYFOLD = {
  id: 'keyfold',
  name: 'Keyfold',
  version: async () => (await finished(binary(), ['--version'])).trim().split(' ').at(-1),
  install: async () => binary(),
  command: (program, port, data) => [program, 'serve', '--port', String(port), '--data-dir', data, '--log', 'warn'],
  ready: async (url) => (await fetch(`${url}/health/ready`)).ok,
  stream: '{url}/v1/stream/{stream}',
}

/** The official server. Durable unless told otherwise: `--durability wal` is its default, and is said here all the same. */
export const OFFICIAL = {
  id: 'official',
  name: '`durable-streams` (crate)',
  version: async () => '0.1.5',
  install: async (dir) => {
    const root = path.join(dir, 'durable-streams-0.1.5')
    const program = path.join(root, 'bin', 'durable-streams-server')
    if (!existsSync(program)) {
      await finished('cargo', ['install', 'durable-streams', '--version', '0.1.5', '--locked', '--root', root])
    }
    return program
  },
  command: (program, port, data) => [program, '--port', String(port), '--data-dir', data, '--durability', 'wal'],
  ready: answers,
  stream: '{url}/v1/stream/{stream}',
}

const NODE_SERVER = `
const [folder, port, dataDir] = process.argv.slice(1)
const { DurableStreamTestServer } = await import(folder + '/dist/index.js')
await new DurableStreamTestServer({ host: '127.0.0.1', port: Number(port), dataDir }).start()
`

/** The reference server in Node, with its files. */
export const NODE = {
  id: 'node',
  name: '`@durable-streams/server` (npm)',
  version: async () => '0.3.7',
  install: async (dir) => {
    const root = path.join(dir, 'durable-streams-server-0.3.7')
    const folder = path.join(root, 'node_modules/@durable-streams/server')
    if (!existsSync(folder)) {
      await mkdir(root, { recursive: true })
      await writeFile(path.join(root, 'package.json'), '{"private":true}\n')
      const args = ['install', '@durable-streams/server@0.3.7', '--no-audit', '--no-fund', '--ignore-scripts']
      await finished('npm', args, { cwd: root })
    }
    return folder
  },
  command: (folder, port, data) => [
    process.execPath,
    ...['--input-type=module', '-e', NODE_SERVER, folder, String(port), data],
  ],
  ready: answers,
  stream: '{url}/v1/stream/{stream}',
}

export const SERVERS = [KEYFOLD, OFFICIAL, NODE]
