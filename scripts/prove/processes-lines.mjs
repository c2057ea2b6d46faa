// What stands in the journals of several processes, and whether a receiver has the same.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Every writer with its events and their exact lines, read without the library; `events`: all of them by id. */
export function readWriters(directory) {
  const events = new Map()
  const writers = readdirSync(directory).map((writer) => {
    const names = readdirSync(join(directory, writer)).toSorted()
    const lines = names
      .filter((name) => /^\d{8}\.jsonl$/.test(name))
      .flatMap((name) =>
        readFileSync(join(directory, writer, name), 'utf8')
          .split('\n')
          .slice(0, -1),
      )
    const own = readOne(lines)
    for (const event of own.events) events.set(event.id, event)
    return Object.assign(own, { writer, owners: names.filter((name) => name.startsWith('owner-')) })
  })
  return { writers, events }
}

function readOne(lines) {
  const events = []
  const texts = []
  const open = new Set()
  for (const text of lines) {
    const line = JSON.parse(text)
    if (line.intent !== undefined) open.add(line.intent)
    else {
      open.delete(line.id)
      events.push(line)
      texts.push(text)
    }
  }
  return { events, texts, openIntents: [...open] }
}

/** De-duplicated by id, in the order in which the receiver had them first. */
export function compareLines({ writers, received, findings }) {
  const lines = received.split('\n').filter(Boolean)
  const first = new Map()
  const byWriter = new Map()
  for (const text of lines) {
    const { id, writer } = JSON.parse(text)
    const known = first.get(id)
    if (known === undefined) {
      first.set(id, text)
      byWriter.set(writer, [...(byWriter.get(writer) ?? []), text])
    } else if (known !== text) findings.violation('the receiver has two lines of one id', id)
  }
  let same = 0
  for (const { writer, texts } of writers) {
    const had = byWriter.get(writer) ?? []
    const right = texts.filter((text, at) => had[at] === text).length
    same += right
    if (right !== texts.length || had.length !== texts.length)
      findings.violation(
        'a writer differs',
        `${writer}: ${texts.length} events, ${had.length} received, ${right} in place`,
      )
    byWriter.delete(writer)
  }
  for (const writer of byWriter.keys()) findings.violation('the receiver has a writer that is not there', writer)
  return { lines: lines.length, again: lines.length - first.size, same }
}
