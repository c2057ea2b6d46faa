import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'

export interface DemoIssuer {
  readonly url: string
  issueToken(): Promise<string>
  /** SIGKILL: nothing is said goodbye to. */
  kill(): void
}

export async function startIssuer(): Promise<DemoIssuer> {
  const clientSecret = randomBytes(32).toString('base64url')
  const child = fork(fileURLToPath(new URL('./issuer.js', import.meta.url)), {
    env: { ...process.env, DEMO_CLIENT_SECRET: clientSecret },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message) => resolve((message as { url: string }).url))
    child.once('exit', () => reject(new Error('the issuer did not start')))
  })
  return {
    url,
    issueToken: async () => {
      const response = await fetch(`${url}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`partner:${clientSecret}`).toString('base64')}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'read:patients' }),
      })
      const { access_token: accessToken } = (await response.json()) as { access_token: string }
      return accessToken
    },
    kill: () => void child.kill('SIGKILL'),
  }
}
