// Keyfold and its peers, side by side in one run: `node benches/compare/compare.mjs --help`.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus, release, tmpdir, totalmem } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

import { ROWS } from './rows.mjs'
import { KEYFOLD, OFFICIAL, SERVERS, binary, finished, start } from './servers.mjs'

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string' },
    servers: { type: 'string', default: `${KEYFOLD.id},${OFFICIAL.id}` },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    'warm-up': { type: 'string', default: '1' },
    messages: { type: 'string', default: '1000000' },
    dir: { type: 'string', default: path.join(tmpdir(), 'keyfold-compare') },
    data: { type: 'string', default: tmpdir() },
    out: { type: 'string', default: path.join(tmpdir(), 'keyfold-compare') },
    patience: { type: 'string', default: '60' },
    around: { type: 'string', default: '' },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const USAGE = `node benches/compare/compare.mjs --rows ROW,ROW… [options]

  --rows ROWS        rows whose names begin so; \`all\` for all of them
  --servers NAMES    of ${SERVERS.map(({ id }) => id).join(', ')} [${options.servers}]
  --rounds N         times that all servers take their turn [5]
  --seconds S        that each turn is measured [5], after --warm-up S [1]
  --messages N       in the logs that are read [1000000]
  --dir DIR          where peers are installed
  --data DIR         where servers keep their data: the disk that is measured
  --out DIR          where results.json and report.md are
  --patience S       that a turn waits for others to leave the processors idle [60]
  --around WORDS     put in front of each measured command, as in 'flock /some/lock'
  --check            only count barriers

rows:
${ROWS.map(({ id, what }) => `  ${id.padEnd(26)}${what}`).join('\n')}
`

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

/** Where a row is run: servers that are stopped behind it, loads, and the figures that were taken. */
class Bed {
  figures = {}
  notes = new Set()
  #running = []

  constructor(kinds) {
    this.kinds = kinds
    this.messages = Number(options.messages)
  }

  async start(kind, { flags } = {}) {
    const server = await start(kind, options.dir, { data: options.data, flags })
    this.#running.push(server)
    return server
  }

  async all() {
    const servers = []
    for (const kind of this.kinds) servers.push(await this.start(kind))
    return servers
  }

  /** Runs the load and gives its report. Later arguments win. Others that use the machine are waited for. */
  async load(server, args) {
    if (!(await quiet(Number(options.patience)))) this.note('others used the machine')
    const given = new Set(args.map(String))
    const usual = { '--warm-up': options['warm-up'], '--duration': options.seconds, '--stream-url': server.kind.stream }
    const rest = Object.entries(usual).filter(([name]) => !given.has(name)).flat()
    const words = [...options.around.split(' ').filter(Boolean), binary(), 'bench', '--json', '--url', server.url]
    const [program, ...more] = [...words, '--pid', String(server.pid), ...rest, ...args.map(String)]
    const report = JSON.parse(await finished(program, more))
    for (const [name, count] of Object.entries(report.errors)) this.note(`${server.kind.id} failed ${count} × ${name}`)
    if (report.unsent > 0) this.note(`${server.kind.id} left ${report.unsent} requests unsent`)
    return report
  }

  /** Each server's turn in each round, the other way round in every second one. */
  async rounds(turns) {
    for (let round = 0; round < Number(options.rounds); round += 1) {
      for (const turn of round % 2 === 0 ? turns : [...turns].reverse()) await turn()
      process.stderr.write('.')
    }
    process.stderr.write('\n')
  }

  /** Bytes ever written to the disk below the data, as the disk counts them: what the kernel counts per process is whole
   * folios, of which little reaches the disk. */
  async diskBytes() {
    const device = (await finished('stat', ['-c', '%Hd:%Ld', options.data])).trim()
    const counts = (await readFile(`/sys/dev/block/${device}/stat`, 'utf8')).trim().split(/\s+/)
    return Number(counts[6]) * 512
  }

  /** A file that a load reads. */
  async file(name, text) {
    await writeFile(path.join(options.out, name), text)
    return path.join(options.out, name)
  }

  take(name, figure) {
    this.figures[name] = [...(this.figures[name] ?? []), figure]
  }

  note(text) {
    this.notes.add(text)
  }

  async remove() {
    for (const server of this.#running) await server.remove()
  }
}

/** Waits until the processors have been idle for half a second, for so many seconds at most. */
async function quiet(patience) {
  const spent = async () => {
    const [, ...ticks] = (await readFile('/proc/stat', 'utf8')).split('\n')[0].trim().split(/\s+/).map(Number)
    return { idle: ticks[3] + ticks[4], all: ticks.slice(0, 8).reduce((sum, tick) => sum + tick, 0) }
  }
  for (const began = performance.now(); ; ) {
    const before = await spent()
    await new Promise((resolve) => setTimeout(resolve, 500))
    const after = await spent()
    if (after.idle - before.idle > 0.9 * (after.all - before.all)) return true
    if (performance.now() - began > patience * 1_000) return false
  }
}

/** Barriers that a server makes while 200 appends are made one after another: at least as many, or it is not durable. */
async function barriers(kind) {
  const appends = 200
  const server = await start(kind, options.dir, { data: options.data })
  try {
    // It prints what it counted when it is interrupted.
    const strace = ['strace', '-f', '-qq', '-c', '-e', 'trace=fsync,fdatasync', '-p', String(server.pid)]
    const counting = finished('timeout', ['-s', 'INT', '6', ...strace]).catch((error) => error.message)
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const args = ['bench', '--json', '--url', server.url, '--stream-url', kind.stream, '--connections', '1']
    const load = await finished(binary(), [...args, '--warm-up', '0', '--duration', '5', '--requests', String(appends)])
    const { writes } = JSON.parse(load)
    const counted = await counting
    const counts = [...counted.matchAll(/^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s.*\b(fsync|fdatasync)$/gm)]
    const made = counts.reduce((sum, [, count]) => sum + Number(count), 0)
    return { appends: writes.requests, barriers: made }
  } finally {
    await server.remove()
  }
}

const show = (figure) => {
  if (Math.abs(figure) >= 1_000) return Math.round(figure).toLocaleString('en')
  return String(Number(figure.toPrecision(3)))
}

function lines(row, result) {
  return Object.entries(result.figures).map(([name, values]) => {
    const middle = median(values)
    const peer = result.figures[name.replace(/^keyfold( typed)?/, OFFICIAL.id)]
    const compared = name.startsWith(KEYFOLD.id) && peer !== undefined
    // The best turns are those that others disturbed least.
    const best = (figures) => (row.better === 'higher' ? Math.max(...figures) : Math.min(...figures))
    const ratios = compared ? [middle / median(peer), best(values) / best(peer)].map(show) : ['', '']
    const wanted = row.reach[name]
    const bound = wanted === undefined ? '' : `${row.better === 'higher' ? '≥' : '≤'} ${wanted}`
    const spread = `${show(Math.min(...values))} to ${show(Math.max(...values))}`
    return `| ${row.what} | ${name} | ${show(middle)} | ${spread} | ${ratios.join(' | ')} | ${bound} |`
  })
}

async function report(file, results) {
  const rows = ROWS.filter(({ id }) => results.rows[id])
  const durable = Object.entries(results.barriers ?? {})
  const text = `# Keyfold beside its peers

${results.machine}

${durable.map(([name, { appends, barriers }]) => `- ${name}: ${barriers} barriers for ${appends} appends one after another`).join('\n')}

| what | server | median | least to most | ÷ official | best turns | to reach |
|---|---|---|---|---|---|---|
${rows.flatMap((row) => lines(row, results.rows[row.id])).join('\n')}

${rows
  .flatMap(({ id }) => results.rows[id].notes.map((note) => `- ${id}, ${results.rows[id].at}: ${note}`))
  .join('\n')}
`
  await writeFile(file, text)
  return text
}

async function machine() {
  const version = async (program) => (await finished(program, ['--version']).catch(() => 'none')).trim()
  const kernel = `Linux ${release()}`
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  const disk = (await finished('df', ['-T', options.data]).catch(() => '')).split('\n')[1]?.split(/\s+/)[1] ?? 'unknown'
  return `${cpus().length} × ${cpus()[0].model}, ${memory}, ${kernel}, ${disk}, ${await version('rustc')}, node ${process.version}`
}

if (options.help || (options.rows === undefined && !options.check)) {
  console.log(USAGE)
  process.exit(0)
}
// Servers are ended when this ends, however it does.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
const wanted = (options.rows ?? '').split(',')
const rows = options.check ? [] : ROWS.filter(({ id }) => wanted.some((name) => name === 'all' || id.startsWith(name)))
const kinds = SERVERS.filter(({ id }) => options.servers.split(',').includes(id))
await mkdir(options.out, { recursive: true })
const file = path.join(options.out, 'results.json')
const results = JSON.parse(await readFile(file, 'utf8').catch(() => '{"rows":{}}'))
results.machine = await machine()
results.barriers ??= {}
for (const kind of kinds) {
  const name = `${kind.name} ${await kind.version()}`
  if (results.barriers[name] && !options.check) continue
  results.barriers[name] = await barriers(kind)
  const { appends, barriers: made } = results.barriers[name]
  console.error(`${name}: ${made} barriers for ${appends} appends`)
  if (made < appends) console.error(`${name} is not durable as it was run`)
}
for (const row of rows) {
  console.error(`${row.id}: ${row.what}`)
  const bed = new Bed(kinds)
  try {
    await row.run(bed)
  } finally {
    await bed.remove()
  }
  const { seconds, rounds } = options
  const at = `${new Date().toISOString().slice(0, 16)}, ${rounds} rounds of ${seconds} s`
  results.rows[row.id] = { at, figures: bed.figures, notes: [...bed.notes] }
  await writeFile(file, `${JSON.stringify(results, null, 1)}\n`)
}
console.log(await report(path.join(options.out, 'report.md'), results))
