// Node 20 runs no TypeScript: helpers of the tests are compiled beside the examples, types unchecked (the lint step does that).
import { spawnSync } from 'node:child_process'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { localBin, ROOT } from '../local-bin.mjs'

/** Modules of `test/stores/`, by their names without an ending. */
export async function importHelpers(...names) {
  const out = join(ROOT, 'build', `prove-${process.pid}`)
  const files = names.map((name) => join(ROOT, 'test', 'stores', `${name}.ts`))
  const flags = ['--ignoreConfig', '--noCheck', '--skipLibCheck', '--rewriteRelativeImportExtensions']
  const target = ['--module', 'nodenext', '--target', 'es2023', '--rootDir', join(ROOT, 'test', 'stores')]
  const { status } = spawnSync(
    process.execPath,
    [localBin('typescript', 'tsc'), ...flags, ...target, '--outDir', out, ...files],
    { cwd: ROOT, stdio: 'inherit' },
  )
  if (status !== 0) throw new Error('The helpers of the tests do not compile.')
  const modules = await Promise.all(
    files.map((file) => import(pathToFileURL(join(out, basename(file).replace(/\.ts$/, '.js'))).href)),
  )
  return { modules, out }
}
