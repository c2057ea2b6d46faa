import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  readdirSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { inheritingNothing } from '../../lib/inheriting-nothing.ts'
import { ownMember } from '../../lib/own-member.ts'
import { nodeFiles } from './append-file.ts'
import { quietly } from '../../lib/quietly.ts'

/**
 * Who may write into a writer's folder: the file `owner-<n>` with the highest number names the process. A process that is
 * gone is followed by making the next number, which the file system gives to one only. A folder without such a file is
 * finished.
 */
export interface Owner {
  /** Shows others that this process is alive; a few times a minute. */
  beat(): void
  /** `false`: another process thought this one dead and has followed it. */
  holds(): boolean
  /** The writer is finished, and nothing is owed to anybody. */
  release(): void
  /** Whoever followed somebody leaves the rest to the next who does. */
  leave(): void
}

/** A process as another one can recognise it. */
export interface ProcessMark {
  /** Host, boot and process namespace: within it process ids mean something. */
  readonly scope: string
  readonly pid: number
  /** Tells it from a later process of the same id; `null` where the system does not say. */
  readonly started: string | null
}

/** A process of another machine or container is dead when it has shown no sign for so long. */
const SILENT_MS = 30_000
const OWNER = /^owner-(\d{1,9})$/

/** For a folder of this process's own. @throws what the file system throws. */
export function ownWriter(directory: string, writer: string): Owner {
  nodeFiles.makeFolder(directory)
  const folder = join(directory, writer)
  try {
    mkdirSync(folder, 0o700)
  } catch (error) {
    if (ownMember(error, 'code') !== 'EEXIST') throw error
  }
  return put(folder, 1)
}

/** `null`: its process lives, or another one was quicker to follow it. @throws what the file system throws. */
export function followOwner(directory: string, writer: string): Owner | null {
  const folder = join(directory, writer)
  const number = newest(folder)
  if (number !== null && lives(folder, number)) return null
  try {
    return put(folder, (number ?? 0) + 1)
  } catch (error) {
    if (ownMember(error, 'code') === 'EEXIST') return null
    throw error
  }
}

/** Somebody looks after the folder, or should: its journal may be unfinished. */
export function hasOwner(directory: string, writer: string): boolean {
  return newest(join(directory, writer)) !== null
}

function put(folder: string, number: number): Owner {
  const path = join(folder, `owner-${number}`)
  create(path, JSON.stringify(thisProcess()))
  return Object.freeze({
    beat: () => void quietly(() => utimesSync(path, new Date(), new Date())),
    holds: () => newest(folder) === number,
    leave: () => void quietly(() => unlinkSync(path)),
    release() {
      if (newest(folder) !== number) return
      for (let each = number; each > 0; each -= 1) quietly(() => unlinkSync(join(folder, `owner-${each}`)))
    },
  })
}

function newest(folder: string): number | null {
  const numbers = readdirSync(folder).map((name) => Number(OWNER.exec(name)?.[1] ?? 0))
  return Math.max(0, ...numbers) || null
}

function lives(folder: string, number: number): boolean {
  const path = join(folder, `owner-${number}`)
  const mark = readMark(path)
  const self = thisProcess()
  if (mark?.scope === self.scope) return isRunning(mark)
  return fileTimeNow(folder) - statSync(path).mtimeMs < SILENT_MS
}

/** The clock of the file system, which may not be ours. */
function fileTimeNow(folder: string): number {
  const path = join(folder, `look-${process.pid}`)
  try {
    create(path, '')
    return statSync(path).mtimeMs
  } finally {
    quietly(() => unlinkSync(path))
  }
}

/** `null`: it is just being written, or is no such file; its age decides. */
function readMark(path: string): ProcessMark | null {
  try {
    const value: unknown = JSON.parse(readText(path))
    const [scope, pid, started] = ['scope', 'pid', 'started'].map((name) => ownMember(value, name))
    if (typeof scope !== 'string' || typeof pid !== 'number') return null
    return { scope, pid, started: typeof started === 'string' ? started : null }
  } catch {
    return null
  }
}

function isRunning({ pid, started }: ProcessMark): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: there is one, of another user.
    if (ownMember(error, 'code') !== 'EPERM') return false
  }
  return started === null || started === startOf(pid)
}

let self: ProcessMark | null = null

export function thisProcess(): ProcessMark {
  self ??= Object.freeze({ scope: scopeOfPids(), pid: process.pid, started: startOf(process.pid) })
  return self
}

function scopeOfPids(): string {
  const boot = textOf(() => readText('/proc/sys/kernel/random/boot_id').trim())
  const namespace = textOf(() => readlinkSync('/proc/self/ns/pid'))
  return [hostname(), boot, namespace].join(' ')
}

/** Linux: field 22 of `/proc/<pid>/stat`; the name in field 2 may hold spaces and parentheses. */
function startOf(pid: number): string | null {
  const stat = textOf(() => readText(`/proc/${pid}/stat`))
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
}

/** Without options: Node's own inherit what stands on a polluted prototype. */
function readText(path: string): string {
  return readFileSync(path, inheritingNothing({ encoding: 'utf8' as const }))
}

/** @throws what the file system throws, `EEXIST` where there is one. */
function create(path: string, text: string): void {
  const file = openSync(path, 'wx', 0o600)
  try {
    writeSync(file, text)
  } catch (error) {
    // A full disk gives a file its name all the same.
    quietly(() => unlinkSync(path))
    throw error
  } finally {
    closeSync(file)
  }
}

function textOf(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}
