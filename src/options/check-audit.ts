import type { AuditSink } from '../audit/sink.ts'
import { checkUnique, conflict, missingOption } from './config-errors.ts'
import type { ParsedAudit, ParsedOptions } from './parsed-options.ts'

/** 45 CFR 164.316(b)(2)(i): six years, two of them leap years. */
const SIX_YEARS = 2192

/** @throws {ConfigError} where the options of the audit do not go together. */
export function checkAudit({ environment, audit }: ParsedOptions): void {
  checkSinks(audit.sinks)
  checkUnique('audit.pseudonymKeys', audit.pseudonymKeys ?? [])
  checkRetention(audit)
  if (environment === 'test') return
  if (audit.directory === undefined) {
    throw missingOption(
      'audit.directory',
      'A live server keeps an audit journal: name a directory on a local, persistent volume.',
    )
  }
  if (audit.pseudonymKeys === undefined) {
    throw missingOption(
      'audit.pseudonymKeys',
      'Give `[{ id, secret }]`, the secret being base64 of at least 32 random bytes.',
    )
  }
  if (audit.retentionDays < SIX_YEARS) {
    throw conflict(
      'audit.retentionDays',
      'is less than six years (45 CFR 164.316(b)(2)(i)).',
      `Give at least ${SIX_YEARS}; what may leave this disk earlier is \`localDays\`.`,
    )
  }
}

function checkSinks(sinks: readonly AuditSink[]): void {
  const names = new Set<string>()
  for (const [index, { name, acks, required, retains }] of sinks.entries()) {
    const option = `audit.sinks.${index}`
    if (names.has(name)) throw conflict(option, 'has the name of another sink.', 'Give each sink its own `name`.')
    names.add(name)
    if (acks && !/^[a-z0-9-]{1,64}$/.test(name))
      throw conflict(option, 'has a name that cannot be a file name.', 'Give it a name of the form [a-z0-9-]{1,64}.')
    if (!acks && (required === true || retains === true)) {
      throw conflict(
        option,
        'does not acknowledge, so nobody knows what it has.',
        'Only a sink with `acks: true` can be `required` or `retains`.',
      )
    }
  }
}

function checkRetention({ sinks, retentionDays, localDays = retentionDays }: ParsedAudit): void {
  if (localDays > retentionDays)
    throw conflict('audit.localDays', 'is more than `retentionDays`.', 'Raise `retentionDays`, or leave it out.')
  if (localDays === retentionDays) return
  if (sinks.some(({ acks, required, retains }) => acks && required === true && retains === true)) return
  throw conflict(
    'audit.localDays',
    'is less than `retentionDays`, and no sink keeps the events for the rest.',
    'Add a sink with `required: true` and `retains: true`, or leave it out.',
  )
}
