import { isStored, storedIn } from './body/stored.ts'
import { walkResource, type Walk } from './body/walk.ts'

/** What an answer shows: resource types, whose, how many; never what they hold. */
export interface BodyPhi {
  /** FHIR resource types, those of contained resources included. */
  readonly types: readonly string[]
  /** Ids, not pseudonyms, each once. */
  readonly patients: readonly string[]
  /** Resources that stand for themselves: contained ones, and the Bundle around them, do not. `null`: too many to tell. */
  readonly resourceCount: number | null
  /** What the kind of Bundle says of the call. */
  readonly interaction: 'batch' | 'transaction' | null
}

/** Resources, references and list members that are looked at; an Observation in a Bundle takes two. */
const MAX_STEPS = 200_000

/**
 * What is shown by the object that a handler answers with, before it is serialised: a FHIR R4 resource, a Bundle, Parameters,
 * or a list of resources. `null`: it is none of these, or an OperationOutcome. Looks only at what is stored in the object:
 * no getter, proxy, `toJSON` or prototype of it is asked, nothing is changed, and nothing is thrown.
 */
export function bodyPhi(body: unknown): BodyPhi | null {
  if (!isStored(body)) return null
  try {
    return read(body)
  } catch {
    // Of a host object that cannot be looked into. The event then knows what the other sources say.
    return null
  }
}

function read(body: object): BodyPhi | null {
  const walk: Walk = { types: new Set(), patients: new Set(), resources: 0, left: MAX_STEPS }
  if (Array.isArray(body)) walkList(walk, body)
  else if (typeof storedIn(body, 'resourceType') === 'string') {
    walkResource({ walk, bundle: null, entry: null, depth: 0 }, body)
  }
  const isBundle = storedIn(body, 'resourceType') === 'Bundle'
  if (!isBundle && walk.types.size === 0) return null
  return Object.freeze({
    types: Object.freeze([...walk.types]),
    patients: Object.freeze([...walk.patients]),
    resourceCount: walk.left > 0 ? walk.resources : null,
    interaction: isBundle ? interactionOf(storedIn(body, 'type')) : null,
  })
}

function walkList(walk: Walk, list: readonly unknown[]): void {
  for (let at = 0; at < list.length && walk.left > 0; at += 1) {
    const each = storedIn(list, at)
    walk.left -= 1
    if (isStored(each)) walkResource({ walk, bundle: null, entry: null, depth: 0 }, each)
  }
}

function interactionOf(type: unknown): BodyPhi['interaction'] {
  if (type === 'batch-response') return 'batch'
  return type === 'transaction-response' ? 'transaction' : null
}
