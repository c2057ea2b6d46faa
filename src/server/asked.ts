import type { Denial } from '../decision.ts'

/** A request as far as an endpoint reads it, whether it came as one of Node or of the Web. */
export interface AskedRequest {
  readonly method: string
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[]
  /**
   * The body; nothing beyond so many bytes is read. A denial where it is longer (`request_malformed`), was broken off
   * (`client_aborted`), or was read before and is lost (`handler_error`).
   */
  body(maxBytes: number): Promise<Buffer | Denial>
}
