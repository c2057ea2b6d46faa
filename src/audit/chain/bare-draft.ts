import type { AuditActor, AuditDraft } from '../event.ts'

const NOBODY: AuditActor = Object.freeze({
  kind: 'none',
  org: null,
  keyId: null,
  sub: null,
  jti: null,
  graceEnds: null,
  by: null,
})
const NOTHING: readonly string[] = Object.freeze([])

/** What happened and when, and of everything else that it is not known, or does not apply. */
export function bareDraft({ kind, name, time }: Pick<AuditDraft, 'kind' | 'name' | 'time'>): AuditDraft {
  return {
    id: null,
    kind,
    name,
    time,
    durationMs: 0,
    outcome: 'success',
    reason: null,
    action: 'E',
    actor: NOBODY,
    target: null,
    scopes: { granted: NOTHING, required: NOTHING },
    client: { ip: null, via: 0 },
    http: null,
    requestId: null,
    operation: null,
    purpose: null,
    phi: null,
    delivered: null,
    part: null,
    count: 1,
  }
}
