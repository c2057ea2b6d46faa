import { nodeFiles, type JournalFiles } from '../../src/audit/journal/append-file.ts'

/** The real file system, with faults that a test switches on. */
export interface FailingFiles extends JournalFiles {
  /** Bytes that still fit; what is written beyond is cut, and when nothing fits the write fails with `ENOSPC`. */
  room: number
  /** Error code of the next writes. */
  writeError: string | null
  truncateError: string | null
  openError: string | null
  syncError: string | null
  /** The disk answers no flush before this settles. */
  hang: Promise<void> | null
  readonly calls: { open: number; sync: number; flush: number; close: number; truncate: number }
}

export function failingFiles(): FailingFiles {
  const fail = (code: string | null): void => {
    if (code !== null) throw Object.assign(new Error(`${code}: no path is shown`), { code })
  }
  const files: FailingFiles = {
    ...nodeFiles,
    room: Number.POSITIVE_INFINITY,
    writeError: null,
    truncateError: null,
    openError: null,
    syncError: null,
    hang: null,
    calls: { open: 0, sync: 0, flush: 0, close: 0, truncate: 0 },
    open(path, flags) {
      files.calls.open += 1
      fail(files.openError)
      return nodeFiles.open(path, flags)
    },
    write(file, bytes, length) {
      fail(files.writeError)
      if (files.room === 0) fail('ENOSPC')
      const written = nodeFiles.write(file, bytes, Math.min(length, files.room))
      files.room -= written
      return written
    },
    truncate(file, length) {
      files.calls.truncate += 1
      fail(files.truncateError)
      nodeFiles.truncate(file, length)
    },
    sync(file) {
      files.calls.sync += 1
      fail(files.syncError)
      nodeFiles.sync(file)
    },
    async flush(file) {
      files.calls.flush += 1
      await files.hang
      fail(files.syncError)
      await nodeFiles.flush(file)
    },
    close(file) {
      files.calls.close += 1
      nodeFiles.close(file)
    },
  }
  return files
}
