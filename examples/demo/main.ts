import { ConfigError } from '@healthcloud/auth'
import { createPrinter } from './printer.ts'
import { showCalls } from './scenes/calls.ts'
import { showCrash } from './scenes/crash.ts'
import { createKeys } from './scenes/credentials.ts'
import { showEvidence } from './scenes/evidence.ts'
import { showExchange } from './scenes/exchange.ts'
import { showJournal } from './scenes/journal.ts'
import { showLoad } from './scenes/load.ts'
import { showOutages } from './scenes/outages.ts'
import { showRevocation } from './scenes/revocation.ts'
import { showRotation } from './scenes/rotation.ts'
import { showSink } from './scenes/sink.ts'
import { setStage, type Closing } from './stage.ts'

/**
 * `npm run demo`: Express, Koa and Fastify, live and over TLS, with one file of keys; an issuer and a log receiver in
 * processes of their own. Everything is on loopback, and in a folder that is removed at the end. With `--json` the facts
 * alone are printed.
 */
const print = createPrinter(process.argv.includes('--json'))
const closing: Closing = []

try {
  const stage = await setStage(print, closing)
  const keys = await createKeys(stage)
  const credentials = { ...keys, ...(await showExchange(stage, keys)) }
  await showCalls(stage, credentials)
  await showOutages(stage, credentials)
  await showLoad(stage, credentials)
  await showSink(stage, credentials)
  await showCrash(stage, credentials)
  // From here on the clock is a day ahead, and the tokens are over.
  await showRotation(stage)
  await showRevocation(stage)
  await showJournal(stage, credentials)
  await showEvidence(stage)
  print.end()
} catch (error) {
  if (!(error instanceof ConfigError)) throw error
  process.stderr.write(`The demo cannot start: ${error.message}\n`)
  process.exitCode = 1
} finally {
  for (const close of closing.toReversed()) await close()
}
