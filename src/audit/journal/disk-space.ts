import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { ownMember } from '../../lib/own-member.ts'

/** How much room is left where the journal is. */
export interface DiskSpace {
  /** Bytes that this process can still write; `null`: it cannot be told. Asks the system at most once a second. */
  free(): number | null
  /** So many bytes were written since it was asked: counts until it is asked again. */
  spend(bytes: number): void
  /** As `free`, as a share of the whole volume: 0 to 1. */
  share(): number | null
  /** Once a second: warns where a limit was newly crossed. */
  warn(): void
}

export interface DiskSpaceSettings {
  /** Of the journal; where it is not there yet, what it will be in is looked at. */
  readonly directory: string
  readonly clock: Clock
  /** @throws what the file system throws. Default `statfsSync`. */
  readonly statfs?: ((path: string) => VolumeFigures) | undefined
}

/** As `statfs(2)` gives them. */
export interface VolumeFigures {
  readonly bsize: number
  readonly blocks: number
  /** Without what is reserved for the superuser. */
  readonly bavail: number
}

/** In percent of the volume: `null`, as long as there is enough. */
export type SpaceWarning = 20 | 10 | null

interface Space {
  free: number
  readonly share: number | null
}

const LOOK_EVERY_MS = 1000
/** Space that comes and goes around a limit is warned of once. */
const RECOVERED = 2

/** Asks nothing before it is asked. */
export function createDiskSpace(settings: DiskSpaceSettings): DiskSpace {
  const { directory, clock } = settings
  const statfs = (Object.hasOwn(settings, 'statfs') ? settings.statfs : undefined) ?? statfsSync
  let lookedMs = Number.NEGATIVE_INFINITY
  let space: Space | null = null
  let warned: SpaceWarning = null

  const look = (): Space | null => {
    const now = clock.monotonicMs()
    if (now - lookedMs < LOOK_EVERY_MS) return space
    lookedMs = now
    space = spaceAt(directory, statfs)
    return space
  }
  return Object.freeze({
    free: () => look()?.free ?? null,
    share: () => look()?.share ?? null,
    spend(bytes: number) {
      if (space !== null) space.free = Math.max(0, space.free - bytes)
    },
    warn() {
      const now = look()
      if (now === null || now.share === null) return
      const before = warned
      warned = spaceWarning(now.share, before)
      if (isWorse(warned, before)) warnOfSpace(warned, now.free)
    },
  })
}

/** The limit that this share is below; one that was warned of is left only two points of percentage above it. */
export function spaceWarning(share: number, before: SpaceWarning): SpaceWarning {
  const percent = share * 100
  if (percent < 10 || (before === 10 && percent <= 10 + RECOVERED)) return 10
  if (percent < 20 || (before !== null && percent <= 20 + RECOVERED)) return 20
  return null
}

/** As a warning of the process: type `HealthCloudAuthWarning`, code `HC_AUTH_DISK_SPACE`. */
export function warnOfSpace(limit: 20 | 10, freeBytes: number): void {
  process.emitWarning(
    `Less than ${limit} % of the volume with the audit journal is free (${Math.floor(freeBytes / MEBIBYTE)} MiB). ` +
      'When it is full, live calls cannot be audited: make room, or enlarge it.',
    { type: 'HealthCloudAuthWarning', code: 'HC_AUTH_DISK_SPACE' },
  )
}

const MEBIBYTE = 1_048_576

function isWorse(now: SpaceWarning, before: SpaceWarning): now is 20 | 10 {
  return now !== null && (before === null || now < before)
}

function spaceAt(path: string, statfs: (path: string) => VolumeFigures): Space | null {
  try {
    const { bsize, blocks, bavail } = statfs(path)
    return { free: bavail * bsize, share: blocks > 0 ? bavail / blocks : null }
  } catch (error) {
    const parent = dirname(path)
    return ownMember(error, 'code') === 'ENOENT' && parent !== path ? spaceAt(parent, statfs) : null
  }
}
