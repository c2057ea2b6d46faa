import { everywhere, PATIENT, statusesOf, type Stage } from '../stage.ts'
import type { Credentials } from './credentials.ts'

const OBSERVATIONS = '/fhir/Patient/123/Observation'

/** The same calls on three frameworks, with identical answers. */
export async function showCalls(stage: Stage, { reader, narrow, token }: Credentials): Promise<void> {
  const { print } = stage
  print.title('The same calls on three frameworks')
  const calls: readonly [string, string, string | undefined][] = [
    ['a key with the scope', PATIENT, reader],
    ['the same key, now cached', PATIENT, reader],
    ['the token', PATIENT, token],
    ['the token, beyond its scopes', OBSERVATIONS, token],
    ['a key without the scope', PATIENT, narrow],
    ['no credential', PATIENT, undefined],
    ['a key with a typo', PATIENT, `${reader.slice(0, -1)}${reader.endsWith('0') ? '1' : '0'}`],
    ['a FHIR search of one patient', OBSERVATIONS, reader],
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
