// Runs `keyfold codegen ts`, and compiles what it wrote as a project of its user would.

import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

import { binary } from './server.mjs'

const run = promisify(execFile)
const MODULES = fileURLToPath(new URL('node_modules', import.meta.url))
const STRICT = [
  '--strict',
  '--noUnusedLocals',
  '--noUnusedParameters',
  '--noUncheckedIndexedAccess',
  '--exactOptionalPropertyTypes',
  '--skipLibCheck',
  ...['--target', 'es2022', '--module', 'nodenext'],
]

/** A folder beside the published packages, so that imports of them are found. */
export class Project {
  static async start() {
    const project = new Project()
    project.folder = await mkdtemp(path.join(MODULES, '.codegen-'))
    await project.write('package.json', '{"type":"module"}')
    return project
  }

  path(name) {
    return path.join(this.folder, name)
  }

  async write(name, text) {
    await writeFile(this.path(name), text)
  }

  /** Generates `<name>.ts` from a source; resolves with what was said on standard error. */
  async generate(name, ...source) {
    const { stderr } = await run(binary(), ['codegen', 'ts', ...source, '-o', this.path(`${name}.ts`)])
    return stderr
  }

  /** Compiles every module; throws what the compiler says. */
  async compile() {
    const files = (await readdir(this.folder)).filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    try {
      await run(process.execPath, [path.join(MODULES, 'typescript/bin/tsc'), ...STRICT, ...files], { cwd: this.folder })
    } catch (error) {
      throw new Error(`tsc: ${error.stdout}`)
    }
  }

  async module(name) {
    return import(pathToFileURL(this.path(`${name}.js`)).href)
  }

  async remove() {
    await rm(this.folder, { recursive: true, force: true })
  }
}
