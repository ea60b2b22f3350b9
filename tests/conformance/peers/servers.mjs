// The servers of the table: how each is installed below a folder, started on a port, and stopped.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { Server, binary } from '../../clients/server.mjs'
import { typedSpace } from '../state.mjs'

const START_TIMEOUT_MS = 30_000

/** Runs a program to its end; rejects with what it printed where it fails. */
export function finished(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    child.once('error', reject)
    child.once('close', (code) =>
      code === 0
        ? resolve(output)
        : reject(new Error(`${program} ${args.join(' ')} ended with ${code}\n${output.slice(-2_000)}`)),
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

/** Starts a program that listens on a port; resolves once it does. */
async function listening(port, program, args, env = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } })
  let log = ''
  child.stderr.on('data', (chunk) => (log = (log + chunk).slice(-4_000)))
  const exited = new Promise((resolve) => child.once('exit', resolve))
  const orphan = () => child.kill('SIGKILL')
  process.once('exit', orphan)
  for (const began = Date.now(); ; await sleep(50)) {
    if (child.exitCode !== null || Date.now() - began > START_TIMEOUT_MS) {
      child.kill('SIGKILL')
      throw new Error(`${program} does not listen on ${port}\n${log}`)
    }
    if (await connects(port)) break
  }
  return async () => {
    child.kill('SIGKILL')
    await exited
    process.off('exit', orphan)
  }
}

function connects(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true) || socket.destroy())
    socket.once('error', () => resolve(false))
  })
}

/** A crate's binary, built below `dir`; built once. */
async function crate(dir, name, version, binary) {
  const root = path.join(dir, `${name}-${version}`)
  const program = path.join(root, 'bin', binary)
  if (!existsSync(program)) {
    // What is asked is whether it is right, not how fast it is.
    const env = {
      ...process.env,
      CARGO_PROFILE_RELEASE_LTO: 'off',
      CARGO_PROFILE_RELEASE_OPT_LEVEL: '1',
      CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
    }
    await finished('cargo', ['install', name, '--version', version, '--locked', '--root', root], { env })
  }
  return program
}

/** A package and its dependencies, installed below `dir`; installed once. */
async function npmPackage(dir, name, version) {
  const root = path.join(dir, `${name.replace(/[@/]+/g, '-').replace(/^-/, '')}-${version}`)
  const folder = path.join(root, 'node_modules', name)
  if (!existsSync(folder)) {
    await mkdir(root, { recursive: true })
    await writeFile(path.join(root, 'package.json'), '{"private":true}\n')
    await finished('npm', ['install', `${name}@${version}`, '--no-audit', '--no-fund', '--ignore-scripts'], {
      cwd: root,
    })
  }
  return folder
}

function keyfold(store) {
  return {
    name: 'Keyfold',
    version: async () => (await finished(binary(), ['--version'])).trim().split(' ').at(-1),
    store,
    longPollMs: 500,
    start: async () => {
      const server = await Server.start({ store, args: ['--long-poll-ms', '500', '--webhook-allow-localhost'] })
      return { url: server.url, typed: await typedSpace(server), stop: () => server.remove() }
    },
  }
}

/** A peer, given a folder for what is installed and a way to run it on a port with a data folder. */
function peer({ name, version, store, longPollMs = 500, install, run }) {
  return {
    name,
    version: async () => version,
    store,
    longPollMs,
    start: async (dir) => {
      const program = await install(dir)
      const data = await mkdtemp(path.join(tmpdir(), 'peer-'))
      const port = await freePort()
      const end = await run({ program, port, data, longPollMs })
      const stop = () => end().finally(() => rm(data, { recursive: true, force: true }))
      return { url: `http://127.0.0.1:${port}`, stop }
    },
  }
}

const NODE_SERVER = `
const [folder, port, dataDir, longPollTimeout] = process.argv.slice(1)
const { DurableStreamTestServer } = await import(folder + '/dist/index.js')
await new DurableStreamTestServer({ host: '127.0.0.1', port: Number(port), dataDir, longPollTimeout: Number(longPollTimeout), webhooks: true }).start()
`

export const SERVERS = [
  keyfold('journal'),
  keyfold('memory'),
  peer({
    name: '`@durable-streams/server` (npm)',
    version: '0.3.7',
    store: 'file-backed',
    install: (dir) => npmPackage(dir, '@durable-streams/server', '0.3.7'),
    run: ({ program, port, data, longPollMs }) =>
      listening(port, process.execPath, [
        '--input-type=module',
        '-e',
        NODE_SERVER,
        program,
        String(port),
        data,
        String(longPollMs),
      ]),
  }),
  peer({
    name: '`durable-streams` (crate)',
    version: '0.1.5',
    store: 'wal',
    install: (dir) => crate(dir, 'durable-streams', '0.1.5', 'durable-streams-server'),
    run: ({ program, port, data, longPollMs }) =>
      listening(port, program, [
        '--port',
        String(port),
        '--data-dir',
        data,
        '--long-poll-timeout-ms',
        String(longPollMs),
      ]),
  }),
  peer({
    name: '`durable-streams-server` (crate)',
    version: '0.3.0',
    store: 'acid',
    // Its setting is in whole seconds.
    longPollMs: 1_000,
    install: (dir) => crate(dir, 'durable-streams-server', '0.3.0', 'durable-streams-server'),
    run: ({ program, port, data, longPollMs }) =>
      listening(port, program, ['--profile', 'default'], {
        DS_SERVER__BIND_ADDRESS: `127.0.0.1:${port}`,
        DS_STORAGE__MODE: 'acid',
        DS_STORAGE__DATA_DIR: data,
        DS_TRANSPORT__CONNECTION__LONG_POLL_TIMEOUT_SECS: String(longPollMs / 1_000),
      }),
  }),
]
