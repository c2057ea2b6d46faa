import { houseOf, type Auth } from '../auth.ts'
import { GuardError } from '../errors.ts'
import type { House } from '../house.ts'
import { noIssuer, type Issuer } from '../issuing/issuer.ts'

/** @throws {GuardError} where `auth` is not what this copy of the package's `createAuth` returned. */
export function houseOfEndpoint(auth: Auth): House {
  const house = houseOf(auth)
  if (house !== undefined) return house
  throw new GuardError('NOT_AN_AUTH', 'An endpoint needs what createAuth of this copy of @healthcloud/auth returned.')
}

/** @throws {ConfigError} where this `auth` does not mint tokens. */
export function issuerOf({ issuer }: House): Issuer {
  if (issuer === null) throw noIssuer()
  return issuer
}
