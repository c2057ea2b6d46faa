/** What a credential is replaced by, the text around it included. */
const MASK = '*'

/**
 * A text of an event as a FHIR `string` (R4 section 2.24.0.1): well-formed, no control characters, no space but U+0020, not
 * blank. `null`: nothing is left of it. Events hold no credentials; should one get into a journal, it comes out of it here
 * no further: a text that holds (or begins) an API key or a token becomes `*`.
 */
export function shownText(text: string | null): string | null {
  if (text === null) return null
  const plain = text
    .replaceAll(/\p{Cs}/gu, '\ufffd')
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim()
  if (plain === '') return null
  return holdsCredential(plain) ? MASK : plain
}

/** A token is told by its header, base64url of `{"…`, and a dot somewhere behind it: a long text may be cut before the second. */
function holdsCredential(text: string): boolean {
  if (/hc_(?:live|test)_/i.test(text)) return true
  const start = text.indexOf('eyJ')
  return start !== -1 && text.lastIndexOf('.') > start
}
