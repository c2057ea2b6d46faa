import { everywhere, PATIENT, statusesOf, type Stage } from '../stage.ts'

export interface Credentials {
  readonly reader: string
  readonly narrow: string
  readonly token: string
}

/** Keys are made on Express; Koa and Fastify find them in the file. */
export async function createCredentials({ servers: [express], issuer, print }: Stage): Promise<Credentials> {
  const base = { organizationId: 'org_demo', environment: 'live', by: 'demo' } as const
  const { keys } = express.auth
  const reader = await keys.create({ ...base, name: 'reader', scopes: ['read:patients', 'read:observations'] })
  const narrow = await keys.create({ ...base, name: 'agents only', scopes: ['exec:agents'] })
  print.line(`A key, shown this once: ${reader.key.slice(0, 15)}… (from now on ${reader.record.hint})`)
  return { reader: reader.key, narrow: narrow.key, token: await issuer.issueToken() }
}

/** The same calls on three frameworks, with identical answers. */
export async function showCalls(stage: Stage, { reader, narrow, token }: Credentials): Promise<void> {
  const { print } = stage
  print.title('The same calls on three frameworks')
  const calls: readonly [string, string, string | undefined][] = [
    ['a key with the scope', PATIENT, reader],
    ['the same key, now cached', PATIENT, reader],
    ['a token of the issuer', PATIENT, token],
    ['a key without the scope', PATIENT, narrow],
    ['no credential', PATIENT, undefined],
    ['a key with a typo', PATIENT, `${reader.slice(0, -1)}${reader.endsWith('0') ? '1' : '0'}`],
    ['a FHIR search of one patient', '/fhir/Patient/123/Observation', reader],
    ['a path that does not exist', '/v1/nowhere', reader],
  ]
  for (const [what, url, credential] of calls) {
    const answers = await everywhere(stage, url, credential)
    const [first] = answers
    const identical = answers.every((each) => withoutId(each.body) === withoutId(first?.body ?? ''))
    print.row([what, String(first?.status ?? 0), first?.code ?? '', identical ? 'identical' : 'DIFFERENT'])
    print.fact('calls', { what, statuses: statusesOf(answers), code: first?.code ?? null, identical })
  }
}

function withoutId(body: string): string {
  return body.replace(/"requestId":"[^"]*"/, '')
}
