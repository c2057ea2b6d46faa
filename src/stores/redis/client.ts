/** What a listener is given depends on the event. */
type Listener = (...args: unknown[]) => void

interface Emitter {
  on(event: string, listener: Listener): unknown
  removeListener(event: string, listener: Listener): unknown
}

/** A connected client of node-redis 5 or later (`createClient` of `redis` or `@redis/client`). */
export interface NodeRedisClient extends Emitter {
  sendCommand(args: string[], options?: object): Promise<unknown>
  duplicate(overrides?: object): NodeRedisSubscriber
}

/** A client of ioredis 5: `Redis`, also by sentinels, or `Cluster`. */
export interface IoRedisClient extends Emitter {
  call(command: string, ...args: string[]): Promise<unknown>
}

/** Structural, so that this package imports neither. */
export type RedisClient = NodeRedisClient | IoRedisClient

/** What `duplicate` of node-redis gives: the connection of its own that listens to changes. */
export interface NodeRedisSubscriber extends Emitter {
  connect(): Promise<unknown>
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>
  destroy(): void
}

/** What `duplicate` of ioredis gives. */
export interface IoRedisSubscriber extends Emitter {
  connect(): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  disconnect(): void
}

/** A method of the client or its class, but nothing that somebody put on `Object.prototype`. */
export function hasMethod(client: unknown, name: string): boolean {
  if (typeof client !== 'object' || client === null) return false
  let holder: object | null = client
  for (let depth = 0; depth < 16 && holder !== null && holder !== Object.prototype; depth += 1) {
    if (Object.hasOwn(holder, name)) return typeof Reflect.get(client, name) === 'function'
    holder = Reflect.getPrototypeOf(holder)
  }
  return false
}

/** ioredis has `sendCommand` as well, of another form. */
export function isIoRedis(client: RedisClient): client is IoRedisClient {
  return hasMethod(client, 'call')
}

/** Sends one command by the client's own means. A signal takes it back as long as it is not sent, where the client can. */
export function send(client: RedisClient, command: readonly string[], abortSignal: AbortSignal): Promise<unknown> {
  const [name = '', ...args] = command
  if (isIoRedis(client)) return client.call(name, ...args)
  // Whatever replies the user's own commands are mapped to, ours are texts; and they have a deadline of their own.
  return client.sendCommand([name, ...args], { abortSignal, typeMapping: {}, timeout: 0 })
}

/** An `error` that nobody listens to ends the process in Node: a lost connection must not. Returns how to undo it. */
export function survivingErrors(client: RedisClient): () => void {
  const ignore = () => undefined
  client.on('error', ignore)
  return () => void client.removeListener('error', ignore)
}
