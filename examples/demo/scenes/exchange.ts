import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { ExchangeError, exchangeKey, type KeyExchange } from '@healthcloud/auth'
import { createFetch } from '../https.ts'
import { everywhere, PATIENT, statusesOf, type Stage } from '../stage.ts'
import type { Keys } from './credentials.ts'

export interface Exchanged {
  /** What the documented command got. */
  readonly token: string
  /** The client, which holds a token of its own. */
  readonly exchange: KeyExchange
}

interface TokenAnswer {
  readonly access_token: string
  readonly token_type: string
  readonly expires_in: number
  readonly scope: string
  readonly issued_at: string
}

const BODY = '{"scope":["read:patients","exec:agents"]}'

/** The key stays on a server; what travels with each call is a token that is good for an hour and for two scopes. */
export async function showExchange(stage: Stage, { app }: Keys): Promise<Exchanged> {
  const { print, issuer } = stage
  const url = `${issuer.url}/v1/auth/token`
  print.title('An API key exchanged for a token, as HealthCloud documents it')
  const { command, by, text } = await exchangeAsDocumented(stage, url, app)
  const answer = JSON.parse(text) as TokenAnswer
  const { access_token: token, ...rest } = answer
  const header: unknown = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString('utf8'))
  for (const line of command.split('\n')) print.line(line)
  print.line(`{"access_token":"${token.slice(0, 36)}…",${JSON.stringify(rest).slice(1)}`)
  print.fact('exchange', { command, by, members: Object.keys(answer), rest, header })
  return { token, exchange: await showClient(stage, url, app) }
}

async function showClient(stage: Stage, url: string, key: string): Promise<KeyExchange> {
  const { print, settings } = stage
  const fetch = createFetch(settings.tls.cert)
  const exchange = exchangeKey({ url, key, scopes: ['read:patients'], fetch })
  const { accessToken, expiresAt, scopes } = await exchange.token()
  const minutes = Math.round((expiresAt.getTime() - Date.now()) / 60_000)
  const used = statusesOf(await everywhere(stage, PATIENT, accessToken))
  const tooMuch = exchangeKey({ url, key, scopes: ['admin:org'], fetch })
  const refusal = await tooMuch.token().then(
    () => null,
    (error: unknown) => (error instanceof ExchangeError ? error : null),
  )
  const refused = { status: refusal?.issuerStatus ?? null, code: refusal?.issuerCode ?? null }
  print.row(['by exchangeKey, for one scope', used.join(' '), `${scopes.join(' ')}, ${minutes} minutes`])
  print.row(['a scope that the key has not', String(refused.status), refused.code ?? ''])
  print.fact('exchangeKey', { scopes, minutes, used, refused })
  return exchange
}

/** By a shell and curl where there are such, else by the same request. */
async function exchangeAsDocumented({ caFile, settings }: Stage, url: string, key: string) {
  const command = `curl -X POST ${url} \\
  -H "Authorization: Bearer $HEALTHCLOUD_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '${BODY}'`
  try {
    const env = { ...process.env, HEALTHCLOUD_API_KEY: key, CURL_CA_BUNDLE: caFile, NO_PROXY: '*', no_proxy: '*' }
    const { stdout } = await promisify(execFile)('sh', ['-c', command], { env })
    return { command, by: 'curl', text: stdout }
  } catch (error) {
    if (!MISSING.has(Reflect.get(error as Error, 'code'))) throw error
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const response = await createFetch(settings.tls.cert)(url, { method: 'POST', headers, body: BODY })
    return { command, by: 'Node', text: await response.text() }
  }
}

/** No shell; no curl. */
const MISSING: ReadonlySet<unknown> = new Set(['ENOENT', 127])
