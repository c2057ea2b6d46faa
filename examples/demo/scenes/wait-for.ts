import { setTimeout as delay } from 'node:timers/promises'
import type { DemoAnswer } from '../client.ts'
import type { DemoServer } from '../servers.ts'
import { PATIENT, type Stage } from '../stage.ts'

export interface Waited {
  readonly answer: DemoAnswer
  /** From `since` to the answer, by the machine's clock. */
  readonly milliseconds: number
}

const GIVE_UP_MS = 5000

/** Calls with a key until the answer is as wanted, or five seconds have passed: then with the answer that it was. */
export async function waitFor(
  { client }: Stage,
  { server, key, since }: { server: DemoServer; key: string; since: number },
  isWanted: (answer: DemoAnswer) => boolean,
): Promise<Waited> {
  for (;;) {
    const answer = await client.get(server.port, PATIENT, key)
    const milliseconds = Math.round(performance.now() - since)
    if (isWanted(answer) || milliseconds > GIVE_UP_MS) return { answer, milliseconds }
    await delay(10)
  }
}
