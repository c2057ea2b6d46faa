import type { AuditEvent } from '../event.ts'
import type { IdentifierKind } from './codes.ts'
import type { FhirReference } from './resource.ts'
import { shownText } from './shown-text.ts'

/** A logical reference; `null` where nothing can be shown of the value. */
export function referenceTo(kind: IdentifierKind, value: string | null, type?: string): FhirReference | null {
  const shown = shownText(value)
  if (shown === null) return null
  return { ...(type === undefined ? null : { type }), identifier: { system: systemOf(kind), value: shown } }
}

function systemOf(kind: IdentifierKind): string {
  return `urn:healthcloud:audit:${kind}`
}

/** The server that wrote the event. */
export function serviceReference({ service }: AuditEvent): FhirReference {
  const name = shownText(service.name) ?? 'unnamed'
  const version = shownText(service.version)
  return {
    identifier: { system: systemOf('service'), value: name },
    display: version === null ? name : `${name} ${version}`,
  }
}

/** RFC 3553, as BALP asks for it; escaped, because a URI holds no spaces and ends at a `#`. */
export function tokenUri(tokenId: string | null): string | null {
  const shown = shownText(tokenId)
  return shown === null ? null : `urn:ietf:params:oauth:jti:${encodeURIComponent(shown)}`
}
