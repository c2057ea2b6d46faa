import { isIP } from 'node:net'
import type { AuditAction, AuditEvent } from '../event.ts'
import {
  APPLICATION,
  AUTHOR,
  AUTHORIZATION_SERVER,
  CUSTODIAN,
  DESTINATION,
  PROVIDER,
  RECIPIENT,
  SOURCE,
  TOKEN_ISSUER,
  TOKEN_USER,
} from './codes.ts'
import { actionOf } from './interactions.ts'
import { purposeOf } from './purpose.ts'
import { referenceTo, serviceReference, tokenUri } from './references.ts'
import type { FhirAuditAgent, FhirCoding, FhirConcept } from './resource.ts'
import { shownText } from './shown-text.ts'

interface Roles {
  readonly client: FhirCoding
  readonly server: FhirCoding
  readonly user: FhirCoding
}

/** BALP 1.1.4: data of a read flow to the client; of a search it is the parameters that count, and they flow to the server. */
const ROLES: Readonly<Record<AuditAction, Roles>> = {
  R: { client: DESTINATION, server: SOURCE, user: RECIPIENT },
  E: { client: SOURCE, server: DESTINATION, user: RECIPIENT },
  C: { client: SOURCE, server: DESTINATION, user: AUTHOR },
  U: { client: SOURCE, server: DESTINATION, user: AUTHOR },
  D: { client: APPLICATION, server: CUSTODIAN, user: AUTHOR },
}

/** Of a decision: who asked, and who decided. */
const DECISION: Roles = { client: APPLICATION, server: AUTHORIZATION_SERVER, user: RECIPIENT }
const ISSUER: Roles = { ...DECISION, server: TOKEN_ISSUER }
const OWN: Roles = { ...DECISION, server: APPLICATION }

function rolesOf(event: AuditEvent): Roles {
  if (event.kind === 'auth') return event.name === 'verify' ? DECISION : ISSUER
  if (event.kind !== 'access') return OWN
  return event.outcome === 'denied' ? DECISION : ROLES[actionOf(event) ?? 'E']
}

/** Client (of a call) and server first; then the user, the organization and the operator, as far as the event knows them. */
export function agentsOf(event: AuditEvent): readonly FhirAuditAgent[] {
  const roles = rolesOf(event)
  const user = userAgent(event, roles.user)
  const called = event.kind === 'access' || event.kind === 'auth'
  const agents = [
    called ? clientAgent(event, { role: roles.client, requestor: user === null }) : null,
    serverAgent(event, roles.server),
    user,
    organizationAgent(event),
    operatorAgent(event),
  ]
  return agents.filter((agent) => agent !== null)
}

function clientAgent(event: AuditEvent, { role, requestor }: { role: FhirCoding; requestor: boolean }): FhirAuditAgent {
  const { actor, client } = event
  const address = shownText(client.ip)
  return {
    type: concept(role),
    who: referenceTo('key', actor.keyId) ??
      referenceTo('organization', actor.org, 'Organization') ?? { display: 'unidentified caller' },
    requestor,
    ...(address === null ? null : { network: isIP(address) === 0 ? { address } : { address, type: '2' } }),
  }
}

function serverAgent(event: AuditEvent, role: FhirCoding): FhirAuditAgent {
  const address = shownText(event.service.instance)
  return {
    type: concept(role),
    who: serviceReference(event),
    requestor: false,
    ...(address === null ? null : { network: { address, type: '1' } }),
  }
}

/** The subject of a token, and BALP's minimal slice for the token itself. A pure API key has no user. */
function userAgent(event: AuditEvent, role: FhirCoding): FhirAuditAgent | null {
  const who = referenceTo('subject', event.actor.sub)
  const policy = tokenUri(presentedToken(event))
  if (who === null && policy === null) return null
  const purpose = purposeOf(event)
  return {
    type: concept(...(who === null ? [] : [role]), ...(policy === null ? [] : [TOKEN_USER])),
    ...(who === null ? null : { who }),
    requestor: true,
    ...(policy === null ? null : { policy: [policy] }),
    ...(purpose === null ? null : { purposeOfUse: [purpose] }),
  }
}

/** Of an exchange and a revocation, `jti` is not the caller's token but what came of it. */
function presentedToken({ name, actor }: AuditEvent): string | null {
  return (name === 'request' || name === 'verify') && actor.kind === 'access-token' ? actor.jti : null
}

function organizationAgent({ actor }: AuditEvent): FhirAuditAgent | null {
  const who = referenceTo('organization', actor.org, 'Organization')
  return who === null ? null : { type: concept(PROVIDER), who, requestor: false }
}

/** Who changed a key. */
function operatorAgent({ kind, actor }: AuditEvent): FhirAuditAgent | null {
  const who = kind === 'admin' ? referenceTo('operator', actor.by) : null
  return who === null ? null : { type: concept(AUTHOR), who, requestor: true }
}

function concept(...coding: readonly FhirCoding[]): FhirConcept {
  return { coding }
}
