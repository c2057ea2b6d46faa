import { appendFileSync, existsSync, readFileSync, truncateSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { settingsOfParent, tellParent } from '../children.ts'
import { listen, type Certificate } from '../https.ts'

/** The log receiver: keeps each event once, by its id, and answers when it is kept. */
export interface ReceiverSettings {
  readonly tls: Certificate
  readonly file: string
  /** 0: a free one. */
  readonly port: number
}

const { tls, file, port } = await settingsOfParent<ReceiverSettings>()
const kept = keptBefore()
let repeats = 0
/** What it keeps from now on it does not answer any more. */
let mute = false

process.on('message', (message: { readonly mute?: true }) => {
  if (message.mute === true) mute = true
  else tellParent({ repeats })
})
const { port: listening } = await listen(tls, (request, response) => void receive(request, response), port)
tellParent({ port: listening })

async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer)
  } catch {
    // The sender is gone, and comes again.
    return
  }
  const lines = Buffer.concat(chunks).toString('utf8').split('\n').slice(0, -1)
  const fresh = lines.filter((line) => !kept.has(idOf(line)))
  appendFileSync(file, fresh.map((line) => `${line}\n`).join(''))
  for (const line of fresh) kept.add(idOf(line))
  repeats += lines.length - fresh.length
  if (mute) tellParent({ kept: fresh.length })
  else response.writeHead(204).end()
}

/** Of the process before. The line in which it was killed is cut off: it was not answered, and comes again. */
function keptBefore(): Set<string> {
  const bytes = existsSync(file) ? readFileSync(file) : Buffer.alloc(0)
  const end = bytes.lastIndexOf('\n') + 1
  if (end < bytes.length) truncateSync(file, end)
  return new Set(bytes.toString('utf8', 0, end).split('\n').slice(0, -1).map(idOf))
}

function idOf(line: string): string {
  return (JSON.parse(line) as { id: string }).id
}
