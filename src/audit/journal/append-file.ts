import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { inheritingNothing } from '../../lib/inheriting-nothing.ts'
import { quietly } from '../../lib/quietly.ts'

/** What the journal needs of the file system, so that a test can let it fail. */
export interface JournalFiles {
  makeFolder(path: string): void
  open(path: string, flags: number): number
  /** Writes the first `length` bytes; gives how many were written. */
  write(file: number, bytes: Uint8Array, length: number): number
  truncate(file: number, length: number): void
  size(file: number): number
  /** The open file is still the one that the path names. */
  isAt(file: number, path: string): boolean
  sync(file: number): void
  /** As `sync`, without holding up whoever is served meanwhile. */
  flush(file: number): Promise<void>
  close(file: number): void
}

/** Where a file that is there already is to be gone on with. */
export interface AppendFrom {
  readonly end: number
}

/** A file that holds whole lines only. Everything here throws what the file system throws. */
export interface AppendFile {
  /** Opens it, or opens it anew on a descriptor of its own. */
  open(): void
  /** The first `length` bytes, which are a line: all of it, or nothing. After a failure it must be opened anew. */
  append(bytes: Uint8Array, length: number): void
  /** Bytes of whole lines. */
  readonly end: number
  /** Forces what was appended so far to the disk. After a failure the descriptor must not be asked again. */
  flush(): Promise<void>
  /** Closes it, and cuts it back to a length that it once had, by a descriptor of its own. */
  cut(length: number): void
  /** Throws where the file was deleted or moved away: the system takes every line, and nobody will ever look for one there. */
  mustExist(): void
  /** Forces it to the disk and closes; closed it is in any case. */
  close(): void
}

/** The journal is as confidential as the records it speaks of: for its owner alone. */
const FOLDER_MODE = 0o700
const FILE_MODE = 0o600

/** No symbolic link is followed: where the journal goes is decided by the configuration alone. (Windows has no such flag.) */
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0)

/** Not by `recursive`: where the system refuses with ENOENT below a folder that there is (`/proc`), Node 20 tries for ever. */
function makeFolder(path: string): void {
  if (existsSync(path)) return
  if (dirname(path) !== path) makeFolder(dirname(path))
  try {
    mkdirSync(path, FOLDER_MODE)
  } catch (error) {
    // Another process may have been quicker.
    if (!existsSync(path)) throw error
  }
}

const NO_THROW = inheritingNothing({ throwIfNoEntry: false as const })

function isAt(file: number, path: string): boolean {
  const named = statSync(path, NO_THROW)
  if (named === undefined) return false
  const open = fstatSync(file)
  return named.ino === open.ino && named.dev === open.dev
}

export const nodeFiles: JournalFiles = Object.freeze({
  makeFolder,
  open: (path: string, flags: number) => openSync(path, flags, FILE_MODE),
  write: (file: number, bytes: Uint8Array, length: number) => writeSync(file, bytes, 0, length),
  truncate: ftruncateSync,
  size: (file: number) => fstatSync(file).size,
  isAt,
  sync: fdatasyncSync,
  flush: promisify(fdatasync),
  close: closeSync,
})

/** A new file, or with `from` one that is there. Opens nothing. */
export function createAppendFile(path: string, files: JournalFiles, from?: AppendFrom): AppendFile {
  let file: number | null = null
  let created = from !== undefined
  /** Where the last good line ends. */
  let end = from?.end ?? 0

  const release = (): void => {
    const old = file
    file = null
    if (old !== null) files.close(old)
  }

  return Object.freeze({
    open() {
      // The old descriptor is given up whatever it says: it may have lost its error with the first report.
      quietly(release)
      files.makeFolder(dirname(path))
      file = files.open(path, created ? APPEND : APPEND | constants.O_EXCL)
      created = true
      const size = files.size(file)
      // Longer: a torn line that could not be cut when its write failed. Shorter: somebody took lines away, and the chain shows it.
      if (size > end) files.truncate(file, end)
      else end = size
    },
    append(bytes: Uint8Array, length: number) {
      if (file === null) throw new Error('The file is not open.')
      const open = file
      try {
        // A full disk gives a short write first, and its error only on the next.
        if (files.write(open, bytes, length) !== length) throw new Error('The disk took only part of a line.')
      } catch (error) {
        // Half a line must not stand before the next; where it cannot be cut now, `open` cuts it.
        quietly(() => files.truncate(open, end))
        throw error
      }
      end += length
    },
    mustExist() {
      if (file !== null && files.isAt(file, path)) return
      throw Object.assign(new Error('The journal was deleted or moved while it was open.'), { code: 'ENOENT' })
    },
    get end() {
      return end
    },
    async flush() {
      const flushed = file
      if (flushed === null) throw new Error('The file is not open.')
      await files.flush(flushed)
      // Closed meanwhile: its number may have been another file's.
      if (file !== flushed) throw new Error('The file was closed while it was forced to the disk.')
    },
    cut(length: number) {
      quietly(release)
      cutFile(path, files, length)
      end = length
    },
    close() {
      try {
        if (file !== null) files.sync(file)
      } finally {
        release()
      }
    },
  })
}

function cutFile(path: string, files: JournalFiles, length: number): void {
  const file = files.open(path, APPEND & ~constants.O_CREAT)
  try {
    files.truncate(file, length)
  } finally {
    quietly(() => files.close(file))
  }
}
