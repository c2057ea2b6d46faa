import type { DemoClient } from '../client.ts'
import type { DemoServer } from '../servers.ts'
import { PATIENT, type Stage } from '../stage.ts'
import type { Credentials } from './calls.ts'

export async function showLoad({ print, servers, client }: Stage, { reader, token }: Credentials): Promise<void> {
  print.title('Under load: live, over TLS, every call in the journal, client on the same machine')
  for (const server of servers) {
    for (const [kind, credential] of [
      ['key', reader],
      ['token', token],
    ] as const) {
      const figures = await load(client, server, credential)
      print.row([
        `${server.framework}, ${kind}`,
        `${figures.perSecond} calls/s`,
        `p50 ${figures.p50} ms`,
        `p99 ${figures.p99} ms`,
      ])
      print.fact('load', { framework: server.framework, kind, ...figures })
    }
  }
}

async function load(through: DemoClient, { port }: DemoServer, credential: string) {
  const times: number[] = []
  const end = performance.now() + (process.argv.includes('--short') ? 100 : 1000)
  const started = performance.now()
  const worker = async () => {
    while (performance.now() < end) times.push((await through.get(port, PATIENT, credential)).milliseconds)
  }
  await Promise.all(Array.from({ length: 16 }, worker))
  times.sort((a, b) => a - b)
  const at = (share: number) => Number((times[Math.floor(times.length * share)] ?? 0).toFixed(1))
  return {
    calls: times.length,
    perSecond: Math.round(times.length / ((performance.now() - started) / 1000)),
    p50: at(0.5),
    p99: at(0.99),
  }
}
