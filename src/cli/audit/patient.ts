import type { AuditEvent } from '../../audit/event.ts'
import { createPseudonyms, type PseudonymKey, type Pseudonyms } from '../../audit/phi/pseudonym.ts'
import { ownMember } from '../../lib/own-member.ts'
import { nameOfSecret, refuseUnknown, type Env } from '../../options/environment.ts'
import { fromEnv } from '../../options/from-env.ts'
import { parseOptions } from '../../options/parse-options.ts'
import { CommandError, EXIT, usage } from '../command-error.ts'
import type { Shell } from '../shell.ts'

/**
 * Events in which a patient is named. The id is turned into his pseudonyms, by every key that there is and for each
 * organization that the journal shows, when it is first seen.
 */
export async function patientFilter(shell: Shell, option: string): Promise<(event: AuditEvent) => boolean> {
  const pseudonyms = createPseudonyms(pseudonymKeys(shell.env))
  const patient = patientId(option === '-' ? await readPatient(shell) : option)
  const known = new Map<string, ReadonlySet<string>>()
  return ({ actor, phi }) => {
    if (phi === null || phi.patients.length === 0) return false
    const names = namesIn(actor.org ?? '', { known, pseudonyms, patient })
    return phi.patients.some((each) => names.has(each))
  }
}

interface Search {
  readonly known: Map<string, ReadonlySet<string>>
  readonly pseudonyms: Pseudonyms
  readonly patient: string
}

function namesIn(organization: string, { known, pseudonyms, patient }: Search): ReadonlySet<string> {
  const names = known.get(organization) ?? new Set(pseudonyms.all(organization, patient))
  known.set(organization, names)
  return names
}

/** What stands behind it may hold anything: ids of patients are taken as they are. */
function patientId(text: string): string {
  const [, id] = /^Patient\/(.{1,256})$/su.exec(text) ?? []
  if (id === undefined) throw usage('--patient: expected Patient/ and an id, such as Patient/123, or - to read it.')
  return id
}

/** An argument can be read by others on this machine, and shells keep it. */
async function readPatient(shell: Shell): Promise<string> {
  try {
    return (await shell.readInput()).replace(/\r?\n$/, '')
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === EXIT.usage) {
      throw usage('--patient -: standard input holds more than one id.')
    }
    throw error
  }
}

const VARIABLE = 'HEALTHCLOUD_AUDIT_PSEUDONYM_KEY'

/** Read and checked as a server does it; the other variables of one are not needed here. */
function pseudonymKeys(env: Env): readonly PseudonymKey[] {
  refuseUnknown(env)
  if (nameOfSecret(env, VARIABLE) === undefined) {
    throw new CommandError(
      EXIT.configuration,
      `${VARIABLE}: is not set, and the journal names patients by pseudonyms alone.\n` +
        'Set it, or its twin …_FILE, to that of your servers, with the older keys behind.',
    )
  }
  const twins = [VARIABLE, `${VARIABLE}_FILE`].map(
    (name) => [name, ownMember(env, name) as string | undefined] as const,
  )
  const { audit } = fromEnv({ HEALTHCLOUD_ENVIRONMENT: 'test', ...Object.fromEntries(twins) })
  const parsed = parseOptions({
    environment: 'test',
    tokens: { issuer: 'hc-auth', audience: 'hc-auth', jwks: 'https://localhost/' },
    audit,
  })
  return parsed.audit.pseudonymKeys ?? []
}
