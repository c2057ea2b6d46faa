/** What the rest of the package may know of an HTTP request. Every framework here has the same two Node objects underneath. */
export interface RequestView {
  readonly method: string
  /** As received: path and query, before any mount or rewrite. */
  readonly url: string
  /** Name, value, name, value, …: the only place where Node shows a second `Authorization`. */
  readonly rawHeaders: readonly string[]
  /** The peer of the socket; `null`: none (a Unix socket, a destroyed one). */
  readonly peer: string | null
  /** TLS on this socket. */
  readonly encrypted: boolean
}
