import { KeyError, KeyStateError, NotReadyError, StoreCapabilityError } from '../../errors.ts'
import { CommandError, EXIT } from '../command-error.ts'
import type { OpenKeys } from './open-keys.ts'
import type { Shell } from '../shell.ts'
import { throwStoreFailure } from '../store-failure.ts'
import { within } from '../within.ts'

/** A change that was begun is waited for, Ctrl-C or not: what is in the store belongs into the journal. */
export async function changing<T>(shell: Shell, keys: OpenKeys, change: () => Promise<T>): Promise<T> {
  shell.goOn()
  const late = 'did not answer within 5 seconds: look with `hc-auth keys list` whether the change is made.'
  return told(keys, () => within(change(), late))
}

export async function reading<T>(keys: OpenKeys, read: () => Promise<T>): Promise<T> {
  return told(keys, () => within(read(), 'did not answer within 5 seconds.'))
}

/** Without a deadline beside the store's own. What the store throws is told as such. */
export async function told<T>({ place }: OpenKeys, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (OURS.some((kind) => error instanceof kind)) throw error
    return throwStoreFailure(error, place)
  }
}

/** What `auth.keys` itself refuses with. */
const OURS = [KeyError, KeyStateError, NotReadyError, StoreCapabilityError] as const

/** On a live server every change is audited: a key of the other environment must not be changed past the journal. */
export function mustFit(environment: string, keys: OpenKeys): void {
  if (environment === keys.environment) return
  throw new CommandError(
    EXIT.configuration,
    `This is a ${environment} key, and HEALTHCLOUD_ENVIRONMENT is ${keys.environment}.\n` +
      `Run this with the configuration of the ${environment} servers, so that the change is audited where it belongs.`,
  )
}
