import { setTimeout as delay } from 'node:timers/promises'
import type { DemoClient } from '../client.ts'
import { milliseconds, PATIENT, type Stage } from '../stage.ts'
import type { Credentials } from './credentials.ts'

export async function showLoad({ print, servers, client }: Stage, { reader, token }: Credentials): Promise<void> {
  print.title('Under load: live, over TLS, every call in the journal, client on the same machine')
  for (const { framework, port } of servers) {
    for (const [kind, credential] of [
      ['key', reader],
      ['token', token],
    ] as const) {
      const load = startLoad(client, { ports: [port], credential, width: 16 })
      await delay(milliseconds(800))
      const figures = await load.end()
      print.row([
        `${framework}, ${kind}`,
        `${figures.perSecond} calls/s`,
        `p50 ${figures.p50} ms`,
        `p99 ${figures.p99} ms`,
      ])
      print.fact('load', { framework, kind, ...figures })
    }
  }
}

export interface LoadFigures {
  /** Answered. */
  readonly calls: number
  /** Of these, with another status than 200. */
  readonly refused: number
  readonly brokenOff: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

/** Calls, `width` at a time to each of the ports. */
export function startLoad(
  client: DemoClient,
  { ports, credential, width }: { ports: readonly number[]; credential: string; width: number },
): { end(): Promise<LoadFigures> } {
  const started = performance.now()
  const times: number[] = []
  let [refused, brokenOff] = [0, 0]
  const ending = new AbortController()
  const worker = async (port: number): Promise<void> => {
    while (!ending.signal.aborted) {
      const answer = await client.get(port, PATIENT, credential).catch(() => null)
      if (answer === null) {
        brokenOff += 1
        return
      }
      times.push(answer.milliseconds)
      if (answer.status !== 200) refused += 1
    }
  }
  const working = Promise.all(ports.flatMap((port) => Array.from({ length: width }, () => worker(port))))
  return {
    end: async () => {
      ending.abort()
      await working
      return { ...figuresOf(times, performance.now() - started), refused, brokenOff }
    },
  }
}

function figuresOf(times: readonly number[], elapsed: number) {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => Number((sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1))
  return { calls: times.length, perSecond: Math.round(times.length / (elapsed / 1000)), p50: at(0.5), p99: at(0.99) }
}
