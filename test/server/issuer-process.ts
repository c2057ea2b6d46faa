import { execFile, fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { localBin, ROOT } from '../../scripts/local-bin.mjs'
import type { IssuerSettings } from './introspection-issuer.ts'

const PROGRAM = 'test/server/introspection-issuer'

export interface CompiledIssuer {
  start(settings: Omit<IssuerSettings, 'port'>): Promise<IssuerProcess>
  /** Ends what still runs, and leaves nothing behind. */
  close(): Promise<void>
}

/** An issuer in a process of its own. */
export interface IssuerProcess {
  readonly url: string
  revoke(keyId: string): Promise<void>
  /** It stands still; the kernel still takes connections. */
  hang(): void
  resume(): void
  /** At once, as when a machine dies. */
  kill(): Promise<void>
  /** Anew, on the same port. */
  restart(): Promise<void>
}

/** Node 20 runs no TypeScript: the program is compiled with all that it imports, types unchecked (the lint step does that). */
export async function compileIssuer(): Promise<CompiledIssuer> {
  const out = join(ROOT, 'build', `introspection-issuer-${process.pid}`)
  const flags = ['--ignoreConfig', '--noCheck', '--skipLibCheck', '--rewriteRelativeImportExtensions']
  const target = ['--module', 'nodenext', '--target', 'es2023', '--rootDir', ROOT, '--outDir', out]
  const tsc = [localBin('typescript', 'tsc'), ...flags, ...target, join(ROOT, `${PROGRAM}.ts`)]
  await promisify(execFile)(process.execPath, tsc, { cwd: ROOT })
  const running = new Set<ChildProcess>()
  return {
    start: (settings) => startProcess(join(out, `${PROGRAM}.js`), settings, running),
    close: async () => {
      for (const child of running) await ended(child)
      await rm(out, { recursive: true, force: true })
    },
  }
}

async function startProcess(
  program: string,
  settings: Omit<IssuerSettings, 'port'>,
  running: Set<ChildProcess>,
): Promise<IssuerProcess> {
  let child: ChildProcess
  let port = 0
  const start = async () => {
    child = fork(program, [JSON.stringify({ ...settings, port })], { execArgv: [] })
    running.add(child)
    const message = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => null)])
    if (message === null) throw new Error('The issuer ended before it listened.')
    port = (message[0] as { port: number }).port
  }
  await start()
  return {
    url: `http://127.0.0.1:${port}/v1/auth/introspect`,
    revoke: async (keyId) => {
      const done = once(child, 'message')
      child.send(keyId)
      await done
    },
    hang: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    kill: () => ended(child),
    restart: start,
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
