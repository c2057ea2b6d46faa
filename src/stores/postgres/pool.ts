/** What the store needs of a client that was taken from a pool: a `pg.PoolClient` fits. */
export interface PostgresClient {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  /** With an error or `true`, the connection is closed instead of going back to the pool. */
  release(error?: Error | boolean): void
  on(event: 'notification', listener: (message: PostgresNotification) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'end', listener: () => void): unknown
  removeListener(event: 'notification', listener: (message: PostgresNotification) => void): unknown
  removeListener(event: 'error', listener: (error: Error) => void): unknown
  removeListener(event: 'end', listener: () => void): unknown
}

export interface PostgresNotification {
  readonly channel: string
  readonly payload?: string | undefined
}

/** What the store needs of a pool: a `pg.Pool` fits. */
export interface PostgresPool {
  /** Not called: what is asked through a connection of its own can be bounded, and ended. */
  query?(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  connect(): Promise<PostgresClient>
  on?(event: 'error', listener: (error: Error) => void): unknown
  removeListener?(event: 'error', listener: (error: Error) => void): unknown
}
