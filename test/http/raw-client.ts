import net from 'node:net'
import type { Socket } from 'node:net'
import type { RunningServer } from './frameworks.ts'

export interface RawRequest {
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** A request as it goes over the wire; several of them in one write are pipelined. */
export function rawRequest({ method = 'GET', path, headers = {}, body }: RawRequest): string {
  const length = body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }
  const lines = Object.entries({ Host: 'suite.example', ...headers, ...length }).map(
    ([name, value]) => `${name}: ${value}`,
  )
  return [`${method} ${path} HTTP/1.1`, ...lines, '', body ?? ''].join('\r\n')
}

/** A client without any rule of its own: it sends bytes, and leaves when and how the test says. */
export interface RawClient {
  readonly socket: Socket
  /** The server's end of this connection, for looking at it. */
  readonly peer: Socket
  /** All that has arrived, header and body. */
  received(): string
  send(...requests: readonly RawRequest[]): void
  /** Resolves once `fits` holds of what has arrived; rejects if the server closes before. */
  until(fits: (received: string) => boolean): Promise<void>
  /** Resolves once so many answers have begun. */
  answers(count: number): Promise<void>
  /** Drops the connection, and resolves when the server has noticed. */
  leave(): Promise<void>
  /** Says only that nothing more will be sent, and goes on reading. */
  halfClose(): void
  /** The server has noticed that the connection is gone. */
  readonly peerClosed: Promise<void>
}

const peers = new WeakMap<RunningServer, Map<number | undefined, Socket>>()

/** The server's ends of its open connections, by the port of the client. */
function peersOf(server: RunningServer): Map<number | undefined, Socket> {
  const known = peers.get(server)
  if (known !== undefined) return known
  const accepted = new Map<number | undefined, Socket>()
  peers.set(server, accepted)
  server.server.on('connection', (socket) => {
    const { remotePort } = socket
    accepted.set(remotePort, socket)
    socket.once('close', () => accepted.delete(remotePort))
  })
  return accepted
}

/** `deaf`: never reads a byte. */
export async function rawClient(server: RunningServer, { deaf = false }: { deaf?: boolean } = {}): Promise<RawClient> {
  const accepted = peersOf(server)
  const socket = net.connect({ port: server.port, host: '127.0.0.1', noDelay: true })
  // A client that drops its connection does not mind that it is gone.
  socket.on('error', () => undefined)
  await settled(() => socket.localPort !== undefined && accepted.has(socket.localPort))
  const peer = accepted.get(socket.localPort)
  if (peer === undefined) throw new Error('the server did not accept the connection')
  return Object.freeze({ socket, peer, ...talk(socket, deaf), ...leaving(socket, peer) })
}

function talk(socket: Socket, deaf: boolean): Pick<RawClient, 'received' | 'send' | 'until' | 'answers'> {
  let text = ''
  if (!deaf) socket.setEncoding('latin1').on('data', (chunk: Buffer | string) => (text += String(chunk)))
  const until = async (fits: (received: string) => boolean) => {
    await settled(() => fits(text) || socket.closed || socket.readableEnded)
    if (!fits(text)) throw new Error(`the connection closed after ${text.length} bytes`)
  }
  return {
    received: () => text,
    send: (...requests) => void socket.write(requests.map(rawRequest).join('')),
    until,
    answers: (count) => until((received) => received.split('HTTP/1.1 ').length > count),
  }
}

function leaving(socket: Socket, peer: Socket): Pick<RawClient, 'leave' | 'halfClose' | 'peerClosed'> {
  const peerClosed = new Promise<void>((resolve) => {
    peer.once('close', () => resolve())
  })
  return {
    peerClosed,
    leave: () => {
      socket.destroy()
      return peerClosed
    },
    halfClose: () => void socket.end(),
  }
}

/** Looks again and again whether something has come about. */
export async function settled(come: () => boolean, deadlineMs = 15_000): Promise<void> {
  const started = performance.now()
  while (!come()) {
    if (performance.now() - started > deadlineMs) throw new Error('what the test waits for did not come about')
    await new Promise((resolve) => {
      setTimeout(resolve, 5)
    })
  }
}
