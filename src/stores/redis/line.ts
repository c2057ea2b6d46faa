import { isIoRedis, type IoRedisClient, type NodeRedisClient, type RedisClient } from './client.ts'
import type { IoRedisSubscriber, NodeRedisSubscriber } from './client.ts'

/** One connection in subscriber mode. It never connects anew: who holds it opens another. */
export interface Line {
  /** Rejects where the connection or the subscription fails. */
  readonly subscribed: Promise<void>
  close(): void
}

export interface LineHandlers {
  message(text: string): void
  /** The connection is gone, by whatever way; may be told more than once, and not after `close`. */
  ended(): void
}

const CONNECT_MS = 1000
const ENDS = ['error', 'end', 'close', 'reconnecting', 'terminated'] as const

/** What both clients come to: how to get on the line, and how to get off it. */
interface Own {
  readonly connection: NodeRedisSubscriber | IoRedisSubscriber
  subscribe(): Promise<unknown>
  destroy(): void
}

/** Opens a duplicate of the client, and subscribes to one channel. Nothing of it is left after `close`. */
export function openLine(client: RedisClient, channel: string, handlers: LineHandlers): Line {
  let closed = false
  const message = (text: string) => {
    if (!closed) handlers.message(text)
  }
  const own = isIoRedis(client) ? ownOfIoRedis(client, channel, message) : ownOfNodeRedis(client, channel, message)
  const ended = () => {
    if (!closed) handlers.ended()
  }
  for (const event of ENDS) own.connection.on(event, ended)
  const close = () => {
    closed = true
    own.destroy()
  }
  const subscribe = async () => {
    await own.connection.connect()
    // A client that was destroyed while it connected may have connected all the same.
    if (closed) return own.destroy()
    await own.subscribe()
  }
  return Object.freeze({ subscribed: subscribe(), close })
}

function ownOfNodeRedis(client: NodeRedisClient, channel: string, message: (text: string) => void): Own {
  const connection = client.duplicate({
    socket: { ...socketOf(client), reconnectStrategy: false, connectTimeout: CONNECT_MS },
    clientSideCache: undefined,
  })
  return {
    connection,
    subscribe: () => connection.subscribe(channel, message),
    destroy: () => {
      try {
        connection.destroy()
      } catch {
        // Version 5 throws where it is closed already.
      }
    },
  }
}

function socketOf(client: NodeRedisClient): object {
  const options: unknown = Reflect.get(client, 'options')
  const socket: unknown = typeof options === 'object' && options !== null ? Reflect.get(options, 'socket') : undefined
  return typeof socket === 'object' && socket !== null ? socket : {}
}

function ownOfIoRedis(client: IoRedisClient, channel: string, message: (text: string) => void): Own {
  const connection = duplicateOf(client)
  connection.on('message', (_, text) => message(String(text)))
  return { connection, subscribe: () => connection.subscribe(channel), destroy: () => connection.disconnect() }
}

const ONCE = {
  lazyConnect: true,
  retryStrategy: null,
  autoResubscribe: false,
  connectTimeout: CONNECT_MS,
  disconnectTimeout: 100,
}

/**
 * Of a cluster, a duplicate of one of its nodes, which all hear what is published on any: a `Cluster` itself would find
 * another node when its subscriber ends, and say nothing of what it missed meanwhile.
 */
function duplicateOf(client: IoRedisClient): IoRedisSubscriber {
  const source: unknown = Reflect.get(client, 'isCluster') === true ? someNode(client) : client
  return (source as { duplicate(overrides: object): IoRedisSubscriber }).duplicate(ONCE)
}

function someNode(client: IoRedisClient): unknown {
  const nodes = (client as unknown as { nodes(role: 'master'): readonly unknown[] }).nodes('master')
  if (nodes.length === 0) throw new Error('Redis: the cluster client knows no node.')
  return nodes[Math.floor(Math.random() * nodes.length)]
}
