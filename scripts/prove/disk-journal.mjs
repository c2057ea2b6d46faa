// What stands in a journal on a volume that may be full, read without the library.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Events with the length of their lines, the intents, and what is no whole line. */
export function readFolder(directory) {
  const found = { events: [], intents: [], torn: [] }
  const writers = existsSync(directory) ? readdirSync(directory) : []
  for (const writer of writers)
    for (const name of readdirSync(join(directory, writer)).toSorted())
      if (/^\d{8}\.jsonl$/.test(name)) readSegment(join(directory, writer, name), found)
  return found
}

function readSegment(path, { events, intents, torn }) {
  const lines = readFileSync(path, 'utf8').split('\n')
  const tail = lines.pop()
  if (tail !== '') torn.push(tail.slice(0, 40))
  for (const text of lines) {
    try {
      const line = JSON.parse(text)
      if (line.intent === undefined) events.push({ ...line, bytes: Buffer.byteLength(text) + 1 })
      else intents.push(line)
    } catch {
      torn.push(text.slice(0, 40))
    }
  }
}

/** Calls that are not in an event of their own, as the journal tells. */
export function gapsIn(events) {
  return sum(events.filter(({ name }) => name === 'audit.gap'))
}

export function refusalsIn(events) {
  return events.filter(({ kind, outcome }) => kind === 'access' && outcome === 'denied')
}

export function sum(events) {
  return events.reduce((total, { count }) => total + count, 0)
}
