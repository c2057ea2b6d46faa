/** What the process ends with. `interrupted` is what a shell expects of a program that Ctrl-C has ended. */
export const EXIT: {
  readonly ok: 0
  readonly failed: 1
  readonly usage: 2
  readonly configuration: 3
  readonly unreachable: 4
  readonly interrupted: 130
} = Object.freeze({ ok: 0, failed: 1, usage: 2, configuration: 3, unreachable: 4, interrupted: 130 })

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** A command could not do its work. The message is what the user reads: it holds no secret. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}

export function usage(message: string): CommandError {
  return new CommandError(EXIT.usage, message)
}

/** The reader of standard output has left, as `head` does. */
export class ClosedOutput extends Error {
  override readonly name = 'ClosedOutput'
}
