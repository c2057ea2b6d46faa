#!/usr/bin/env node
import { EXIT } from './command-error.ts'
import { run } from './run.ts'

/** What Node and the core announce on their own is said by the commands themselves, and better. */
const SILENT = /^(ExperimentalWarning|HealthCloudAuthWarning)$/

function main(): void {
  const controller = new AbortController()
  const stop = () => {
    // Whoever asks twice does not want to wait for a change that is under way.
    if (controller.signal.aborted) process.exit(EXIT.interrupted)
    controller.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  process.removeAllListeners('warning')
  process.on('warning', ({ name, message }) => {
    if (!SILENT.test(name)) process.stderr.write(`hc-auth: ${name}: ${message}\n`)
  })
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  const { env, stdin, stdout, stderr } = process
  void run(process.argv.slice(2), { env, cwd: process.cwd(), stdin, stdout, stderr, signal: controller.signal }).then(
    // A connection that hangs would keep the process alive.
    (code) => stdout.write('', () => process.exit(code)),
  )
}

main()
