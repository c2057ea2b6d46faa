import type { Writable } from 'node:stream'
import type { Env } from '../options/environment.ts'
import { ClosedOutput, CommandError, EXIT, usage } from './command-error.ts'

/** All that a command knows of the process that it runs in. */
export interface Surroundings {
  readonly env: Env
  /** Where the caller's project is: drivers are loaded from there, and a relative path begins there. */
  readonly cwd: string
  readonly stdin: AsyncIterable<Uint8Array | string> & { readonly isTTY?: boolean | undefined }
  readonly stdout: Writable
  readonly stderr: Writable
  /** Aborts at Ctrl-C: nothing new is begun, a change under way is finished. */
  readonly signal?: AbortSignal | undefined
}

/** The surroundings as a command uses them. */
export interface Shell {
  readonly env: Env
  readonly cwd: string
  /** Nobody pipes anything in. */
  readonly isInteractive: boolean
  /** One line, or several, to standard output. @throws {ClosedOutput} where nobody reads it any more. */
  readonly print: (text: string) => Promise<void>
  /** To standard error, for people. */
  readonly narrate: (text: string) => void
  /** All of standard input. */
  readonly readInput: () => Promise<string>
  /** @throws {CommandError} after Ctrl-C. */
  readonly goOn: () => void
  /** Settles as `work` does, or with an error at Ctrl-C. */
  readonly unlessInterrupted: <T>(work: Promise<T>) => Promise<T>
  readonly close: () => void
}

/** A key has 47 characters: whoever pipes in more than this pipes in something else. */
const MAX_INPUT = 4096

export function createShell({ env, cwd, stdin, stdout, stderr, signal }: Surroundings): Shell {
  // What fails is told to whoever writes; as an event that nobody hears it would end the process.
  for (const stream of [stdout, stderr]) stream.on('error', ignore)
  const unlessInterrupted = <T>(work: Promise<T>) => raceSignal(work, signal)
  return Object.freeze({
    env,
    cwd,
    isInteractive: stdin.isTTY === true,
    print: (text: string) => write(stdout, text),
    narrate: (text: string) => void stderr.write(`${text}\n`),
    readInput: () => unlessInterrupted(readAll(stdin)),
    goOn: () => {
      if (signal?.aborted === true) throw interrupted()
    },
    unlessInterrupted,
    close: () => {
      for (const stream of [stdout, stderr]) stream.removeListener('error', ignore)
    },
  })
}

function write(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(`${text}\n`, (error) => {
      if (error === null || error === undefined) resolve()
      else reject(writeError(error))
    })
  })
}

/** Whoever reads only the first lines has what he wants. A disk that is full is another matter. */
function writeError(error: Error): Error {
  const code: unknown = Object.hasOwn(error, 'code') ? Reflect.get(error, 'code') : undefined
  if (code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED') return new ClosedOutput('Standard output is closed.')
  return new CommandError(EXIT.failed, `Standard output cannot be written (${String(code)}).`)
}

async function readAll(stream: Surroundings['stdin']): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    size += bytes.length
    if (size > MAX_INPUT) throw usage('Standard input holds more than one API key. Give one at a time.')
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}

async function raceSignal<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  const { promise, reject } = withReject()
  const stop = () => reject(interrupted())
  signal.addEventListener('abort', stop, { once: true })
  try {
    if (signal.aborted) stop()
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function withReject(): { readonly promise: Promise<never>; readonly reject: (error: Error) => void } {
  let reject: (error: Error) => void = ignore
  const promise = new Promise<never>((_, no) => {
    reject = no
  })
  return { promise, reject }
}

function interrupted(): CommandError {
  return new CommandError(EXIT.interrupted, 'Interrupted.')
}

function ignore(): void {
  // Nobody is left to tell.
}
