import { startChild } from './children.ts'
import type { DemoSettings } from './settings.ts'

export interface DemoIssuer {
  readonly url: string
  readonly jwks: string
  kill(): Promise<void>
}

export async function startIssuer(settings: DemoSettings): Promise<DemoIssuer> {
  const { port, kill } = await startChild('issuer', settings)
  const url = `https://127.0.0.1:${port}`
  return { url, jwks: `${url}/.well-known/jwks.json`, kill }
}
