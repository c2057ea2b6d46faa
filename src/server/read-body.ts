import { isUtf8 } from 'node:buffer'
import { deny, type Denial } from '../decision.ts'
import { rawValues } from '../request/raw-headers.ts'
import type { AskedRequest } from './asked.ts'

const MAX_BYTES = 16_384

/** The body of a request as strict UTF-8, at most 16 KiB, if it is of this type; of any other type nothing is read. */
export async function readBody(request: AskedRequest, mediaType: string): Promise<string | Denial> {
  if (!isOfType(request, mediaType)) return deny('request_malformed')
  const bytes = await request.body(MAX_BYTES)
  if (!Buffer.isBuffer(bytes)) return bytes
  return isUtf8(bytes) ? bytes.toString('utf8') : deny('request_malformed')
}

/** Its parameters say nothing here (RFC 8259 section 8.1). Two types are none. */
function isOfType({ rawHeaders }: AskedRequest, mediaType: string): boolean {
  const values = rawValues(rawHeaders, 'content-type')
  const [value = ''] = values
  if (values.length !== 1) return false
  return value === mediaType || value.split(';')[0]?.trim().toLowerCase() === mediaType
}
