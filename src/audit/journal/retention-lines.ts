import { join } from 'node:path'
import type { AuditRetention } from '../event.ts'
import { EndlessLine, linesIn, segmentPath } from './lines.ts'
import { readWrittenLine } from './verify/written-line.ts'

const ID_LENGTH = 36
const PREFIX = Buffer.from('{"v":1,"id":"')
const NAME = Buffer.from('","kind":"system","name":"audit.retention",')

/**
 * What the `audit.retention` lines of some segments tell, in their order. Looked at are the bytes where the name stands: to
 * parse every line would take minutes.
 * @throws what the file system throws.
 */
export async function retentionsIn(
  directory: string,
  writer: string,
  segments: readonly number[],
): Promise<readonly AuditRetention[]> {
  const found: AuditRetention[] = []
  for (const segment of segments) {
    try {
      for await (const lines of linesIn(join(directory, segmentPath(writer, segment)))) {
        for (const { bytes } of lines) {
          const retention = isRetention(bytes) ? readWrittenLine(bytes)?.event?.retention : undefined
          if (retention !== undefined) found.push(retention)
        }
      }
    } catch (error) {
      // Somebody has broken the segment: there is no further line in it.
      if (!(error instanceof EndlessLine)) throw error
    }
  }
  return found
}

function isRetention(line: Buffer): boolean {
  const at = PREFIX.length + ID_LENGTH
  return line.subarray(at, at + NAME.length).equals(NAME)
}
