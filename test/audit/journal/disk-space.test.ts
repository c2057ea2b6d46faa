import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createDiskSpace, spaceWarning, type VolumeFigures } from '../../../src/audit/journal/disk-space.ts'
import { systemClock } from '../../../src/lib/clock.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** A volume of 1,000 blocks of a mebibyte, whose free ones the test sets. */
function volume(free: number | Error) {
  let ms = 0
  const made = {
    free,
    paths: [] as string[],
    clock: { now: () => 0, monotonicMs: () => ms },
    advance: (by: number) => {
      ms += by
    },
    statfs: (path: string): VolumeFigures => {
      made.paths.push(path)
      if (typeof made.free !== 'number') throw made.free
      return { bsize: 1_048_576, blocks: 1000, bavail: made.free }
    },
  }
  return made
}

describe('free space', () => {
  test.runIf(process.platform === 'linux')('is what df says', () => {
    const directory = mkdtempSync(join(tmpdir(), 'hc-auth-space-'))
    try {
      const space = createDiskSpace({ directory, clock: systemClock })
      const [size, free] = execFileSync('df', ['-B1', '--output=size,avail', directory], { encoding: 'utf8' })
        .split('\n')[1]
        ?.trim()
        .split(/\s+/)
        .map(Number) ?? [0, 0]
      const slack = 500_000_000
      expect(Math.abs((space.free() ?? 0) - (free ?? 0))).toBeLessThan(slack)
      expect(Math.abs((space.share() ?? 0) - (free ?? 0) / (size ?? 1))).toBeLessThan(slack / (size ?? 1))
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  test('of a folder that is not there yet is that of the nearest one above it', () => {
    const at = (directory: string) => createDiskSpace({ directory, clock: systemClock }).free()
    const slack = 500_000_000
    expect(Math.abs((at(join(tmpdir(), 'hc-not-there', 'a', 'b')) ?? 0) - (at(tmpdir()) ?? 0))).toBeLessThan(slack)
  })

  test('is asked for when somebody wants to know, at most once a second, and by one call for both figures', () => {
    const made = volume(500)
    const space = createDiskSpace({ ...made, directory: '/d' })
    expect(made.paths).toEqual([])
    expect([space.free(), space.share()]).toEqual([524_288_000, 0.5])
    made.free = 100
    made.advance(999)
    space.warn()
    expect(space.free()).toBe(524_288_000)
    made.advance(1)
    expect([space.share(), space.free()]).toEqual([0.1, 104_857_600])
    expect(made.paths).toEqual(['/d', '/d'])
  })

  test.each<[string, Error, string[]]>([
    ['is not allowed to be asked', Object.assign(new Error('no'), { code: 'EACCES' }), ['/d/e']],
    ['is nowhere', Object.assign(new Error('no'), { code: 'ENOENT' }), ['/d/e', '/d', '/']],
  ])('of a folder that %s cannot be told; later it may be', (_, error, paths) => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const made = volume(error)
    const space = createDiskSpace({ ...made, directory: '/d/e' })
    expect([space.free(), space.share()]).toEqual([null, null])
    space.warn()
    expect(made.paths).toEqual(paths)
    made.free = 10
    made.advance(1000)
    space.warn()
    expect(warn).toHaveBeenCalledTimes(1)
  })

  test('of a volume without size has no share', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const statfs = () => ({ bsize: 4096, blocks: 0, bavail: 0 })
    const space = createDiskSpace({ directory: '/proc', clock: systemClock, statfs })
    space.warn()
    expect([space.free(), space.share(), warn.mock.calls.length]).toEqual([0, null, 0])
  })
})

test.each<[share: number, before: 20 | 10 | null, now: 20 | 10 | null]>([
  [1, null, null],
  [0.2, null, null],
  [0.1999, null, 20],
  [0.2, 20, 20],
  [0.22, 20, 20],
  [0.2201, 20, null],
  [0.1, null, 20],
  [0.0999, null, 10],
  [0.0999, 20, 10],
  [0, 10, 10],
  [0.12, 10, 10],
  [0.1201, 10, 20],
  [0.2201, 10, null],
  [0.22, 10, 20],
])('a share of %d, after a warning of %s, is one of %s', (share, before, now) => {
  expect(spaceWarning(share, before)).toBe(now)
})

test('two shares that are less than two points apart never both change the warning', () => {
  const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1 })
  fc.assert(
    fc.property(shares, fc.double({ min: 0, max: 0.0199, noNaN: true }), (past, apart) => {
      const before = past.reduce<20 | 10 | null>((warning, share) => spaceWarning(share, warning), null)
      const last = past.at(-1) ?? 0
      const up = spaceWarning(last + apart, before)
      expect(spaceWarning(last, up)).toBe(spaceWarning(last, before))
    }),
  )
})

describe('a warning', () => {
  test('is given once when a limit is crossed, and again after more than two points above it', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const made = volume(300)
    const space = createDiskSpace({ ...made, directory: '/d' })
    const limits = [300, 199, 180, 205, 199, 230, 199, 99, 110, 99, 150, 99, 5, 900, 50].map((free) => {
      const before = warn.mock.calls.length
      made.free = free
      made.advance(1000)
      space.warn()
      return warn.mock.calls.slice(before).map(([text]) => /Less than (\d+) %/.exec(String(text))?.[1])[0] ?? null
    })
    expect(limits.map((each) => each ?? '-').join(' ')).toBe('- 20 - - - - 20 10 - - - 10 - - 10')
  })

  test('has a type and a code, and names no folder', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    createDiskSpace({ ...volume(99), directory: '/secret/place' }).warn()
    expect(warn.mock.calls).toEqual([
      [
        'Less than 10 % of the volume with the audit journal is free (99 MiB). ' +
          'When it is full, live calls cannot be audited: make room, or enlarge it.',
        { type: 'HealthCloudAuthWarning', code: 'HC_AUTH_DISK_SPACE' },
      ],
    ])
  })
})
