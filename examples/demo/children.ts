import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A process of its own that serves on a port of loopback. */
export interface DemoChild {
  readonly port: number
  /** Gives its next message. */
  ask(message: object): Promise<unknown>
  /** SIGKILL: nothing is said goodbye to. Resolves when it is gone. */
  kill(): Promise<void>
}

/** `file` is one of `processes/`. It gets `settings` as its first message, and answers with its port. */
export async function startChild(file: string, settings: object): Promise<DemoChild> {
  const child = fork(fileURLToPath(new URL(`./processes/${file}.js`, import.meta.url)), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // node:sqlite warns of itself; once is enough.
    execArgv: [...process.execArgv, '--disable-warning=ExperimentalWarning'],
  })
  const gone = once(child, 'exit')
  const ask = async (message: object): Promise<unknown> => {
    const answer = once(child, 'message')
    child.send(message)
    const early = gone.then(() => Promise.reject(new Error(`The process ${file} has ended.`)))
    const [given] = (await Promise.race([answer, early])) as [unknown]
    return given
  }
  const { port } = (await ask(settings)) as { port: number }
  return {
    port,
    ask,
    kill: async () => {
      child.kill('SIGKILL')
      await gone
    },
  }
}

/** In the child. It ends with the demo, however that ends. */
export async function settingsOfParent<Settings>(): Promise<Settings> {
  process.on('disconnect', () => process.exit())
  const [settings] = (await once(process, 'message')) as [Settings]
  return settings
}

export function tellParent(message: object): void {
  process.send?.(message)
}
