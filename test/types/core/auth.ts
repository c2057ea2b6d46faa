import { createAuth, memoryKeyStore, SCOPES, type Auth, type Principal, type Scope } from '@healthcloud/auth'

export const auth: Auth = createAuth({
  environment: 'test',
  keys: { store: memoryKeyStore() },
  // Under exactOptionalPropertyTypes too: what the environment does not hold is `undefined`.
  docsUrl: process.env['DOCS_URL'],
})

createAuth({
  environment: 'live',
  keys: { store: memoryKeyStore(), pepper: process.env['PEPPER'], cacheSeconds: undefined },
  tokens: { issuer: 'https://issuer.example', audience: ['a', 'b'], jwks: new URL('https://issuer.example/jwks') },
  transport: { trustedProxies: ['10.0.0.0/8'] },
  failures: { max: 10, limiter: { consume: async (key: string) => key } },
  audit: { directory: '/var/audit', pseudonymKeys: [{ id: 'k1', secret: 's' }], onEvent: (event) => void event.id },
  service: undefined,
})

// @ts-expect-error environment is required
createAuth({ keys: { store: memoryKeyStore() } })
// @ts-expect-error environment is live or test
createAuth({ environment: 'production', keys: { store: memoryKeyStore() } })
// @ts-expect-error a misspelt option
createAuth({ environment: 'test', key: { store: memoryKeyStore() } })
// @ts-expect-error no symmetric algorithm
createAuth({ environment: 'test', tokens: { issuer: 'i', audience: 'a', jwks: { keys: [] }, algorithms: ['HS256'] } })

// Without an augmented ScopeRegistry there is no scope of one's own to describe.
createAuth({ environment: 'test', keys: { store: memoryKeyStore() }, scopes: {} })
const labs = { description: 'Read labs', level: 'Standard' } as const
// @ts-expect-error a scope that ScopeRegistry does not hold
createAuth({ environment: 'test', keys: { store: memoryKeyStore() }, scopes: { 'read:labs': labs } })

export const documented: Scope[] = [
  'read:patients',
  'write:patients',
  'read:observations',
  'write:observations',
  'exec:agents',
  'exec:workflows',
  'admin:org',
  'admin:billing',
  'publish:assets',
]
// @ts-expect-error a typo
export const typo: Scope = 'read:patient'
// @ts-expect-error a partner's scope that was not declared
export const undeclared: Scope = 'read:labs'

export const level: 'Standard' | 'Admin' | 'Publisher' = SCOPES['read:patients'].level
// @ts-expect-error SCOPES is read only
SCOPES['read:patients'] = { description: '', level: 'Admin' }

export function idsOf(principal: Principal): string[] {
  // @ts-expect-error a token may name no key
  const unknownKind: string = principal.keyId
  if (principal.kind === 'api-key') {
    const keyId: string = principal.keyId
    const tokenId: null = principal.tokenId
    return [keyId, String(tokenId), unknownKind]
  }
  const kind: 'access-token' = principal.kind
  return [kind, principal.organizationId]
}

export function change(principal: Principal): void {
  // @ts-expect-error a principal cannot be changed
  principal.organizationId = 'org_2'
  // @ts-expect-error nor its scopes
  principal.scopes.add('admin:org')
  // @ts-expect-error a typo in a question about scopes
  principal.scopes.has('read:patient')
  principal.scopes.has('read:patients')
}

export async function verify(): Promise<string> {
  const verdict = await auth.verify('credential', {
    ip: null,
    secure: null,
    scopes: ['read:patients'],
    operation: 'queue.consume',
  })
  if (verdict.ok) return verdict.principal.organizationId
  // @ts-expect-error a refusal has no principal
  const refused: Principal = verdict.principal
  const status: number = verdict.status
  return `${verdict.code} ${verdict.reason} ${status} ${refused.kind}`
}
// @ts-expect-error ip and secure are said, if only by null
void auth.verify('credential', { operation: 'queue.consume' })
// @ts-expect-error a typo in a scope
void auth.verify('credential', { ip: null, secure: null, operation: 'queue.consume', scopes: ['read:patient'] })
