// The rows of the table: what each asks of a server, and which figure of the answer counts.
//
// A row is run as a whole by `run(bed)`: the bed starts servers, runs the load, and takes figures by name. Its `figures`
// say how a figure is read: `higher` or `lower` is better, and what Keyfold ÷ official is to reach.

import { KEYFOLD, OFFICIAL, finished } from './servers.mjs'
import { fileURLToPath } from 'node:url'

const STREAMDB = fileURLToPath(new URL('../streamdb', import.meta.url))

const DOCUMENT = {
  collections: {
    items: {
      type: 'item',
      primaryKey: 'id',
      schema: {
        type: 'object',
        required: ['id', 'n'],
        properties: { id: { type: 'string' }, n: { type: 'integer' }, note: { type: 'string' } },
      },
    },
  },
}

/** Registers what typed rows write. */
async function register(server) {
  const answer = await fetch(`${server.url}/v1/schemas/bench/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(DOCUMENT),
  })
  if (!answer.ok) throw new Error(await answer.text())
}

const TYPED = ['--schema', 'bench']

/** Loads of the same kind against Keyfold untyped, Keyfold typed, and every peer untyped. */
function loads(args, read, { typed = true } = {}) {
  return async (bed) => {
    const servers = await bed.all()
    for (const server of servers) if (server.kind === KEYFOLD) await register(server)
    await bed.rounds(servers.map((server) => async () => {
      bed.take(server.kind.id, read(await bed.load(server, args)))
      if (typed && server.kind === KEYFOLD) bed.take('keyfold typed', read(await bed.load(server, [...args, ...TYPED])))
    }))
  }
}

const rate = (report) => report.writes.messages_per_s

function appends(streams, connections, [untyped, typed]) {
  return {
    id: `appends-${streams}-${connections}`,
    what: `appends/s, one message per request, ${streams} stream${streams === 1 ? '' : 's'}, ${connections} connections`,
    unit: '1/s',
    better: 'higher',
    reach: { keyfold: untyped, 'keyfold typed': typed },
    run: loads(['--streams', streams, '--connections', connections], rate),
  }
}

/** Open loop at a share of what the peer can do at most; the most is found first. */
function open(share) {
  const args = ['--connections', 64]
  return {
    id: `open-${share}`,
    what: `latency, one stream, 64 connections, open loop at ${share} % of the peer's maximum`,
    unit: 'ms',
    better: 'lower',
    reach: { 'keyfold p50': 1, 'keyfold p99': 1, 'keyfold typed p50': 1, 'keyfold typed p99': 1 },
    run: async (bed) => {
      const servers = await bed.all()
      const peer = servers.find(({ kind }) => kind === OFFICIAL)
      if (!peer) throw new Error('this row needs the official server')
      for (const server of servers) if (server.kind === KEYFOLD) await register(server)
      const most = rate(await bed.load(peer, args))
      bed.note(`at ${Math.round((most * share) / 100)} requests/s`)
      const once = async (server, name, more = []) => {
        const report = await bed.load(server, [...args, '--rate', (most * share) / 100, ...more])
        bed.take(`${name} p50`, report.writes.latency_ms.p50)
        bed.take(`${name} p99`, report.writes.latency_ms.p99)
      }
      await bed.rounds(servers.map((server) => async () => {
        await once(server, server.kind.id)
        if (server.kind === KEYFOLD) await once(server, 'keyfold typed', TYPED)
      }))
    },
  }
}

/** Waits until a server has written its older records again, by stream, and does so no more. */
async function clustered(server) {
  const clusterings = async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text()
    return Number(/^keyfold_journal_clusterings_total (\d+)$/m.exec(text)[1])
  }
  for (let [now, before, same] = [0, 0, 0]; now === 0 || same < 6; before = now) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    now = await clusterings()
    same = now === before ? same + 1 : 0
  }
}

/** A log of a million messages, read from its beginning by some readers at once: as it was appended, or clustered. Peers have
 * no such thing, and take turns with either. */
function catchUp(batch, readers, reach, how = 'fresh') {
  const appended = batch === 1 ? 'appended singly' : `appended in ${batch}s`
  return {
    id: `catch-up-${batch}-${readers}-${how}`,
    what: `catch-up of a log ${appended}, ${how}, ${readers} reader${readers === 1 ? '' : 's'}`,
    unit: 'MB/s',
    better: 'higher',
    reach: { keyfold: reach },
    run: async (bed) => {
      const ours = { flags: ['--cluster-after', how === 'fresh' ? '0' : '1'] }
      const servers = []
      for (const kind of bed.kinds) servers.push(await bed.start(kind, kind === KEYFOLD ? ours : {}))
      const requests = bed.messages / batch
      for (const server of servers) {
        await bed.load(server, [
          ...['--prefix', 'log', '--connections', batch === 1 ? 64 : 4, '--batch', batch, '--requests', requests],
          ...['--warm-up', 0, '--duration', 900],
        ])
        if (server.kind === KEYFOLD && how !== 'fresh') await clustered(server)
      }
      await bed.rounds(servers.map((server) => async () => {
        const report = await bed.load(server, ['--prefix', 'log', '--connections', 0, '--replays', readers])
        bed.take(server.kind.id, report.replays.mb_per_s)
      }))
    },
  }
}

function fanOut(readers, perSecond, reach) {
  return {
    id: `fan-out-${readers}`,
    what: `one stream, ${readers} SSE readers × ${perSecond} messages/s: delivery`,
    unit: 'ms',
    better: 'lower',
    reach: { 'keyfold p50': reach, 'keyfold p99': reach },
    run: async (bed) => {
      const servers = await bed.all()
      await bed.rounds(servers.map((server) => async () => {
        const name = server.kind.id
        const report = await bed.load(server, ['--readers', readers, '--connections', 4, '--rate', perSecond])
        const { latency_ms: latency, expected, delivered } = report.deliveries
        bed.take(`${name} p50`, latency.p50)
        bed.take(`${name} p99`, latency.p99)
        if (delivered < expected) bed.note(`${name} delivered ${delivered} of ${expected}`)
        const mb = (report.deliveries.messages * 200) / 1e6
        bed.take(`${name} CPU ms per delivered MB`, (report.server.cpu_s * 1e3) / mb)
      }))
    },
  }
}

export const ROWS = [
  ...[1, 64].flatMap((streams) => [
    appends(streams, 1, [1, 1]),
    appends(streams, 16, [1.1, 1]),
    appends(streams, 64, [1.2, 1.05]),
  ]),
  open(50),
  open(80),
  {
    id: 'batches',
    what: 'changes/s in batches of 100 per POST, 8 connections',
    unit: '1/s',
    better: 'higher',
    reach: { 'keyfold typed': 1.2 },
    run: loads(['--connections', 8, '--batch', 100], rate),
  },
  {
    id: 'ndjson',
    what: "NDJSON ingest on one connection, typed, against the peer's batches of 100 on 8 connections",
    unit: '1/s',
    better: 'higher',
    reach: { keyfold: 1.2 },
    run: async (bed) => {
      const servers = await bed.all()
      for (const server of servers) if (server.kind === KEYFOLD) await register(server)
      await bed.rounds(servers.map((server) => async () => {
        const ours = ['--ndjson', '--connections', 1, '--batch', 100, '--window', 64, ...TYPED]
        const args = server.kind === KEYFOLD ? ours : ['--connections', 8, '--batch', 100]
        bed.take(server.kind.id, rate(await bed.load(server, args)))
      }))
    },
  },
  ...['fresh', 'clustered'].flatMap((how) => [
    catchUp(1, 1, 0.6, how),
    catchUp(1, 64, 0.8, how),
    catchUp(1000, 1, 0.6, how),
    catchUp(1000, 64, 0.8, how),
  ]),
  {
    id: 'streamdb',
    what: 'unmodified StreamDB of many changes over 1,000 keys until `preload()` resolves',
    unit: 'ms',
    better: 'lower',
    // Of the last one the figure itself is to be below its bound.
    reach: { keyfold: 0.02, 'keyfold bytes ÷ live entities': 1.05 },
    run: async (bed) => {
      const servers = await bed.all()
      for (const server of servers) {
        const typed = server.kind === KEYFOLD ? TYPED : ['--document', await bed.file('bench.json', JSON.stringify(DOCUMENT))]
        if (server.kind === KEYFOLD) {
          await register(server)
          const answer = await fetch(`${server.url}/v1/bindings/folded`, {
            method: 'PUT',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ pattern: 'db/**', subject: 'bench', reads: 'folded' }),
          })
          if (!answer.ok) throw new Error(await answer.text())
        }
        await bed.load(server, [
          ...['--prefix', 'db', '--connections', 1, '--batch', 1000, '--requests', bed.messages / 1000],
          ...['--keys', 1000, '--warm-up', 0, '--duration', 900, ...typed],
        ])
      }
      await bed.rounds(servers.map((server) => async () => {
        const url = `${server.url}/v1/stream/db/0`
        const { ms, bytes } = JSON.parse(await finished(process.execPath, ['preload.mjs', url], { cwd: STREAMDB }))
        bed.take(server.kind.id, ms)
        bed.take(`${server.kind.id} bytes`, bytes)
        if (server.kind === KEYFOLD) {
          const messages = await (await fetch(`${url}?offset=-1&fold=true`)).json()
          const stored = messages.filter(({ headers }) => !headers.control).map((change) => JSON.stringify(change))
          bed.take('keyfold bytes ÷ live entities', bytes / stored.reduce((sum, text) => sum + Buffer.byteLength(text), 0))
        }
      }))
    },
  },
  fanOut(1000, 50, 0.8),
  fanOut(5000, 10, 0.8),
  {
    id: 'saturation',
    what: 'deliveries/s to 1,000 SSE readers of one stream, one writer as fast as it can with batches of 10',
    unit: '1/s',
    better: 'higher',
    reach: { keyfold: 1.5 },
    run: async (bed) => {
      const servers = await bed.all()
      await bed.rounds(servers.map((server) => async () => {
        const report = await bed.load(server, ['--readers', 1000, '--connections', 1, '--batch', 10])
        bed.take(server.kind.id, report.deliveries.messages_per_s)
      }))
    },
  },
  {
    id: 'readers-and-writers',
    what: 'write p99 with 100 SSE readers on the written stream against none, open loop at half of maximum',
    unit: 'ratio',
    better: 'lower',
    reach: {},
    run: async (bed) => {
      const servers = await bed.all()
      const args = ['--connections', 16]
      const most = new Map()
      for (const server of servers) most.set(server, rate(await bed.load(server, args)))
      await bed.rounds(servers.map((server) => async () => {
        const half = [...args, '--rate', most.get(server) / 2]
        const alone = await bed.load(server, half)
        const watched = await bed.load(server, [...half, '--readers', 100])
        const name = server.kind.id
        bed.take(name, watched.writes.latency_ms.p99 / alone.writes.latency_ms.p99)
        const mb = (watched.deliveries.messages * 200) / 1e6
        bed.take(`${name} CPU ms per delivered MB`, (watched.server.cpu_s * 1e3) / mb)
      }))
    },
  },
  {
    id: 'memory',
    what: 'resident memory: MiB with no data, KiB per idle SSE reader',
    unit: 'MiB, KiB',
    better: 'lower',
    reach: {},
    run: async (bed) => {
      const readers = 1_000
      await bed.rounds(bed.kinds.map((kind) => async () => {
        const server = await bed.start(kind)
        const report = await bed.load(server, ['--readers', readers, '--connections', 0])
        const { resident_bytes_before: before, resident_bytes_to: after } = report.server
        bed.take(`${kind.id} idle MiB`, before / 2 ** 20)
        bed.take(`${kind.id} KiB per reader`, (after - before) / readers / 1024)
        await server.remove()
      }))
    },
  },
  {
    id: 'entities',
    what: 'resident memory per live entity, 16-byte keys, key included',
    unit: 'bytes',
    better: 'lower',
    reach: {},
    run: async (bed) => {
      await bed.rounds([async () => {
        const server = await bed.start(KEYFOLD)
        await register(server)
        const write = (keys, requests) =>
          bed.load(server, [
            ...['--prefix', `entities-${keys}`, '--connections', 4, '--batch', 1000, '--keys', keys],
            ...['--requests', requests, '--warm-up', 0, '--duration', 900, ...TYPED],
          ])
        // The same writes twice, to few keys and to many: what only many keys take is theirs.
        const few = await write(1_000, 5_000)
        const many = await write(1_000_000, 5_000)
        // 1 - e^-5 of a million keys were drawn.
        const grown = many.server.resident_bytes_to - few.server.resident_bytes_to
        bed.take('keyfold', grown / 993_262)
        await server.remove()
      }])
    },
  },
  {
    id: 'streams',
    what: 'appends/s over 100,000 streams against 64, 64 connections; KiB per idle stream; open files',
    unit: '1/s',
    better: 'higher',
    reach: {},
    run: async (bed) => {
      const many = 100_000
      await bed.rounds([KEYFOLD].map((kind) => async () => {
        const server = await bed.start(kind)
        const few = await bed.load(server, ['--streams', 64, '--connections', 64])
        const all = await bed.load(server, ['--streams', many, '--connections', 64])
        bed.take(`${kind.id} ÷ 64 streams`, rate(all) / rate(few))
        const grown = all.server.resident_bytes_to - few.server.resident_bytes_to
        bed.take(`${kind.id} KiB per stream`, grown / many / 1024)
        bed.take(`${kind.id} open files`, (await finished('ls', [`/proc/${server.pid}/fd`])).trim().split('\n').length)
        await server.remove()
      }))
    },
  },
  {
    id: 'amplification',
    what: 'bytes that reached the disk, of whoever ÷ bytes accepted, 64 connections, before clustering',
    unit: 'ratio',
    better: 'lower',
    reach: { keyfold: 1.3 },
    run: async (bed) => {
      const servers = await bed.all()
      await bed.rounds(servers.map((server) => async () => {
        const before = await bed.diskBytes()
        const report = await bed.load(server, ['--connections', 64, '--warm-up', 0])
        bed.take(server.kind.id, ((await bed.diskBytes()) - before) / report.writes.bytes)
      }))
    },
  },
]
