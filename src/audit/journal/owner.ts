import {
  closeSync,
  existsSync,
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
import type { Clock } from '../../lib/clock.ts'
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

/** Knows for how long a file has stayed the same, by a clock that nobody can set. */
export interface Silence {
  /** In milliseconds since this process first saw it so. */
  of(path: string, mtimeMs: number): number
}

export function createSilence(clock: Pick<Clock, 'monotonicMs'>): Silence {
  const seen = new Map<string, { readonly mtimeMs: number; readonly sinceMs: number }>()
  return Object.freeze({
    of(path: string, mtimeMs: number) {
      const now = clock.monotonicMs()
      const before = seen.get(path)
      if (before?.mtimeMs === mtimeMs) return now - before.sinceMs
      seen.set(path, { mtimeMs, sinceMs: now })
      return 0
    },
  })
}

/**
 * `null`: its process lives, or another one was quicker to follow it. Without `silence`, only one of this machine (and
 * container) can be found dead.
 * @throws what the file system throws.
 */
export function followOwner(directory: string, writer: string, silence: Silence | null = null): Owner | null {
  const folder = join(directory, writer)
  const number = newest(folder)
  if (number !== null && lives(join(folder, `owner-${number}`), silence)) return null
  try {
    return put(folder, (number ?? 0) + 1)
  } catch (error) {
    if (ownMember(error, 'code') === 'EEXIST') return null
    throw error
  }
}

/** Somebody has deleted the folder, or moved it away: its process makes it anew, and goes on. */
function again(folder: string, path: string): boolean {
  nodeFiles.makeFolder(folder)
  create(path, JSON.stringify(thisProcess()))
  return true
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
    holds: () => (existsSync(folder) ? newest(folder) === number : again(folder, path)),
    leave: () => void quietly(() => unlinkSync(path)),
    release() {
      quietly(() => {
        if (newest(folder) !== number) return
        for (let each = number; each > 0; each -= 1) quietly(() => unlinkSync(join(folder, `owner-${each}`)))
      })
    },
  })
}

function newest(folder: string): number | null {
  const numbers = readdirSync(folder).map((name) => Number(OWNER.exec(name)?.[1] ?? 0))
  return Math.max(0, ...numbers) || null
}

function lives(path: string, silence: Silence | null): boolean {
  const mark = readMark(path)
  if (mark?.scope === thisProcess().scope) return isRunning(mark)
  // Not by the age of the file: a clock that was set, or a machine that slept, makes the living look dead.
  return silence === null || silence.of(path, statSync(path).mtimeMs) < SILENT_MS
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
  const now = startOf(pid)
  // What cannot be read is no proof of death.
  return started === null || now === null || started === now
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
