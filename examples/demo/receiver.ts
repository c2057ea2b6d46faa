import { readFile } from 'node:fs/promises'
import { startChild } from './children.ts'
import type { Certificate } from './https.ts'
import type { ReceiverSettings } from './processes/receiver.ts'

export interface DemoReceiver {
  readonly url: string
  /** The worst moment: it has kept a batch, and is killed before it can answer. Gives the events of that batch. */
  killBeforeAnswer(): Promise<number>
  /** On the same port and with what it has kept. */
  restart(): Promise<void>
  /** Events that came again since it was started. */
  repeats(): Promise<number>
  /** What it has kept, line by line. */
  lines(): Promise<readonly string[]>
  kill(): Promise<void>
}

export async function startReceiver(tls: Certificate, file: string): Promise<DemoReceiver> {
  const start = (port: number) => startChild('receiver', { tls, file, port } satisfies ReceiverSettings)
  let child = await start(0)
  const { port } = child
  return {
    url: `https://127.0.0.1:${port}/events`,
    killBeforeAnswer: async () => {
      const { kept } = (await child.ask({ mute: true })) as { kept: number }
      await child.kill()
      return kept
    },
    restart: async () => {
      child = await start(port)
    },
    repeats: async () => ((await child.ask({})) as { repeats: number }).repeats,
    lines: async () => (await readFile(file, 'utf8')).split('\n').slice(0, -1),
    kill: () => child.kill(),
  }
}
