import { StoreCapabilityError } from '../errors.ts'
import { exchangeToken, type ExchangeToken, type TokenExchange } from './exchange-token.ts'
import type { House } from '../house.ts'
import { noIssuer } from './issuer.ts'
import { readRevokeToken, type RevokeToken } from './token-request.ts'

/** `auth.tokens`. */
export interface TokenAdmin {
  /** Mints a token for an API key, as `POST /v1/auth/token` does. Rejects with `ConfigError` where `issuing` is not set. */
  readonly exchange: (request: ExchangeToken) => Promise<TokenExchange>
  /**
   * Ends one token before its time. In force here when the promise resolves, elsewhere within the reach of the store's feed,
   * and one `admin` audit event. Rejects with `StoreCapabilityError` where the store cannot hold revocations, with `KeyError`
   * for a request that cannot be, with the store's own error on an outage.
   */
  readonly revoke: (request: RevokeToken) => Promise<void>
}

/** A single token that is to be revoked, and until when that must be remembered. */
export interface TokenRevocation {
  readonly jti: string
  /** Epoch milliseconds; `null`: not known. */
  readonly expiresAt: number | null
  readonly by: string
}

export function createTokenAdmin(
  house: House,
  revoke: ((revocation: TokenRevocation) => Promise<void>) | null,
): TokenAdmin {
  return Object.freeze({
    exchange: async (request: ExchangeToken) => {
      if (house.issuer === null) throw noIssuer()
      return exchangeToken(house, house.issuer, request)
    },
    revoke: async (request: RevokeToken) => {
      const revocation = readRevokeToken(request)
      if (revoke === null)
        throw new StoreCapabilityError('This auth has no key store that can hold revocations of tokens.')
      await revoke(revocation)
    },
  })
}
