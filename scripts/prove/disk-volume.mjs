// A small file system of its own, which can be filled to the last byte.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** @throws where this user may not mount: then nothing is proved, and that must be seen. */
export function mountVolume(bytes) {
  const path = mkdtempSync(join(tmpdir(), 'hc-auth-disk-'))
  const options = `size=${bytes},mode=0700`
  const refusal = run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path])
  if (refusal !== null) {
    rmdirSync(path)
    throw new Error(`A tmpfs cannot be mounted here, so nothing is proved (root is needed): ${refusal}`)
  }
  const ballast = join(path, 'ballast')
  return Object.freeze({
    path,
    journal: join(path, 'journal'),
    free: () => {
      const { bsize, bavail } = statfsSync(path)
      return bsize * bavail
    },
    /** Takes room away that `lighten` gives back. */
    load: (size) => writeFileSync(ballast, Buffer.alloc(size)),
    lighten: () => rmSync(ballast),
    enlarge: (size) => {
      const failed = run('mount', ['-o', `remount,size=${size}`, path])
      if (failed !== null) throw new Error(`The volume cannot be enlarged: ${failed}`)
    },
    unmount: () => {
      if (run('umount', [path]) !== null) run('umount', ['-l', path])
      rmdirSync(path)
    },
  })
}

/** `null`: it has done it. */
function run(command, args) {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  return status === 0 ? null : (error?.message ?? stderr.trim())
}
