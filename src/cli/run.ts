import { EXIT, type ExitCode } from './command-error.ts'
import { explain } from './explain-error.ts'
import { createProgram } from './program.ts'
import { refuseSecrets } from './keys/read-key.ts'
import { createShell, type Surroundings } from './shell.ts'

export type { Surroundings } from './shell.ts'

/** Runs one command line, without the two words that Node puts in front. Never rejects; nothing is left open. */
export async function run(argv: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const shell = createShell(surroundings)
  let ended: ExitCode = EXIT.ok
  try {
    refuseSecrets(argv)
    const program = createProgram(shell, {
      out: (text) => void surroundings.stdout.write(text),
      err: (text) => void surroundings.stderr.write(text),
      end: (code) => void (ended = code),
    })
    await program.parseAsync([...argv], { from: 'user' })
    return ended
  } catch (error) {
    const { exitCode, text } = explain(error)
    if (text !== null) shell.narrate(`hc-auth: ${text}`)
    return exitCode
  } finally {
    shell.close()
  }
}
