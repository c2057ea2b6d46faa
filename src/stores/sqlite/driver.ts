import { ConfigError } from '../../keys/store.ts'
import type { SqliteDatabase } from './database.ts'

export interface ClosableDatabase extends SqliteDatabase {
  close(): unknown
}

type DatabaseClass = new (path: string) => ClosableDatabase

/** Where an engine may come from; replaced by tests alone. */
export interface Drivers {
  /** The module `node:sqlite`, where this Node has it. */
  builtin(): unknown
  /** The class of the optional package. */
  installed(): Promise<unknown>
}

const DRIVERS: Drivers = {
  builtin: () => process.getBuiltinModule('node:sqlite'),
  installed: async () => (await import('libsql')).default,
}

/** The engine that there is: the one of Node first, for it needs no package. */
export async function loadDriver(drivers: Drivers = DRIVERS): Promise<DatabaseClass> {
  const builtin = drivers.builtin()
  if (typeof builtin === 'object' && builtin !== null) {
    const found: unknown = Reflect.get(builtin, 'DatabaseSync')
    if (typeof found === 'function') return found as DatabaseClass
  }
  try {
    return (await drivers.installed()) as DatabaseClass
  } catch (error) {
    throw driverError(isMissing(error))
  }
}

function driverError(missing: boolean) {
  const lack = missing ? 'is not installed' : 'does not load on this platform'
  return new ConfigError('CONFIG_MISSING', 'sqliteKeyStore', {
    problem: `this Node has no node:sqlite (22.13 and later have), and the package libsql ${lack}.`,
    remedy: `${missing ? 'Run' : 'Install it anew'}: npm install libsql`,
  })
}

function isMissing(error: unknown) {
  return error instanceof Error && Reflect.get(error, 'code') === 'ERR_MODULE_NOT_FOUND'
}
