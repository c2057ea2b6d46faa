import { randomBytes } from 'node:crypto'
import { everywhere, PATIENT, statusesOf, type Stage } from '../stage.ts'
import type { Credentials } from './calls.ts'

/** The issuer is killed and the store goes down: who is known goes on, nobody unknown passes. */
export async function showOutages(stage: Stage, { reader, token }: Credentials): Promise<void> {
  const { print, issuer, stores } = stage
  print.title('Issuer killed, key store down')
  issuer.kill()
  stores.pullPlug()
  const unknown = `hc_live_sk_${randomBytes(24).toString('hex').slice(0, 16)}`
  const facts = {
    token: statusesOf(await everywhere(stage, PATIENT, token)),
    cachedKey: statusesOf(await everywhere(stage, PATIENT, reader)),
    unknownKey: statusesOf(await everywhere(stage, PATIENT, unknown)),
  }
  stores.plugIn()
  print.row(['the token, its issuer dead', facts.token.join(' ')])
  print.row(['the cached key', facts.cachedKey.join(' ')])
  print.row(['a key that is not cached', facts.unknownKey.join(' ')])
  print.fact('outages', facts)
}
