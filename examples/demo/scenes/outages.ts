import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { ExchangeError, exchangeKey } from '@healthcloud/auth'
import { createFetch } from '../https.ts'
import { everywhere, PATIENT, statusesOf, type Stage } from '../stage.ts'
import type { Credentials } from './credentials.ts'

const REACH_MS = 1000

/** The issuer is killed and the store goes down: who is known goes on, nobody unknown passes. */
export async function showOutages(stage: Stage, credentials: Credentials): Promise<void> {
  const { print, issuer, stores } = stage
  const { reader, token } = credentials
  print.title('Issuer killed (kill -9), key store down')
  await issuer.kill()
  // A change of a key drops its entry on every server, within a second: what is cached after that stays.
  await sleep(REACH_MS)
  await everywhere(stage, PATIENT, reader)
  stores.pullPlug()
  const unknown = `hc_live_sk_${randomBytes(24).toString('hex').slice(0, 16)}`
  const facts = {
    token: statusesOf(await everywhere(stage, PATIENT, token)),
    cachedKey: statusesOf(await everywhere(stage, PATIENT, reader)),
    unknownKey: statusesOf(await everywhere(stage, PATIENT, unknown)),
    ...(await askForTokens(stage, credentials)),
  }
  stores.plugIn()
  print.row(['the token, its issuer dead', facts.token.join(' ')])
  print.row(['the token that exchangeKey holds', facts.heldToken.join(' ')])
  print.row(['a new exchange', facts.newExchange])
  print.row(['the cached key', facts.cachedKey.join(' ')])
  print.row(['a key that is not cached', facts.unknownKey.join(' ')])
  print.fact('outages', facts)
}

async function askForTokens(stage: Stage, { app, exchange }: Credentials) {
  const { accessToken } = await exchange.token()
  const fetch = createFetch(stage.settings.tls.cert)
  const another = exchangeKey({ url: `${stage.issuer.url}/v1/auth/token`, key: app, scopes: ['exec:agents'], fetch })
  const newExchange = await another.token().then(
    () => 'a token',
    (error: unknown) => (error instanceof ExchangeError ? error.code : 'something else'),
  )
  return { heldToken: statusesOf(await everywhere(stage, PATIENT, accessToken)), newExchange }
}
