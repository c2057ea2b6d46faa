import { EXIT, type ExitCode } from '../command-error.ts'

/** What was looked at, and what came of it. */
export interface Check {
  readonly name: 'configuration' | 'pepper' | 'signing key' | 'key store' | 'key set' | 'journal' | 'rotation'
  readonly status: 'ok' | 'warning' | 'failed' | 'skipped'
  readonly message: string
  /** What to do. */
  readonly remedy: string | null
  readonly exitCode: ExitCode
}

export function ok(name: Check['name'], message: string): Check {
  return { name, status: 'ok', message, remedy: null, exitCode: EXIT.ok }
}

export function skipped(name: Check['name'], message: string): Check {
  return { name, status: 'skipped', message, remedy: null, exitCode: EXIT.ok }
}

export function warning(name: Check['name'], message: string, remedy: string): Check {
  return { name, status: 'warning', message, remedy, exitCode: EXIT.ok }
}

interface Failure {
  readonly message: string
  readonly remedy?: string
}

export function failed(name: Check['name'], exitCode: ExitCode, { message, remedy = '' }: Failure): Check {
  return {
    name,
    status: 'failed',
    message: message.replaceAll('\n', ' '),
    remedy: remedy === '' ? null : remedy,
    exitCode,
  }
}
