/** Something that must come out nowhere. */
export interface Canary {
  readonly name: string
  readonly text: string
  /** Parts of it that give it away as well as the whole. */
  readonly parts?: readonly string[]
}

interface Needle {
  readonly canary: string
  readonly form: string
  readonly text: string
  readonly anyCase: boolean
}

export interface Finding {
  readonly canary: string
  readonly form: string
}

/** Every run of so many characters. */
export function windowsOf(text: string, length: number): readonly string[] {
  return Array.from({ length: text.length - length + 1 }, (_, at) => text.slice(at, at + length))
}

/** Makes a function that says which canaries a text holds: plain, in hex, in URL form, in base64 and base64url at any offset. */
export function searchFor(canaries: readonly Canary[]): (text: string) => readonly Finding[] {
  const needles = canaries.flatMap(({ name, text, parts = [] }) =>
    [text, ...parts].flatMap((each) => needlesOf(name, each)),
  )
  return (text) => {
    const lower = text.toLowerCase()
    const found = new Map<string, Finding>()
    for (const { canary, form, text: needle, anyCase } of needles) {
      if ((anyCase ? lower : text).includes(needle)) found.set(`${canary} ${form}`, { canary, form })
    }
    return [...found.values()]
  }
}

function needlesOf(canary: string, text: string): readonly Needle[] {
  const bytes = Buffer.from(text)
  const needle = (form: string, anyCase: boolean) => (each: string) => ({
    canary,
    form,
    text: anyCase ? each.toLowerCase() : each,
    anyCase,
  })
  const base64 = [0, 1, 2].map((offset) => base64At(bytes, offset))
  return [
    needle('plain', true)(text),
    needle('hex', true)(bytes.toString('hex')),
    needle('url', true)(encodeURIComponent(text)),
    needle('url', true)([...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')),
    ...base64.map(needle('base64', false)),
    ...base64.map((each) => each.replaceAll('+', '-').replaceAll('/', '_')).map(needle('base64url', false)),
  ]
}

/** What base64 makes of these bytes behind so many others, less the characters that depend on their neighbours. */
function base64At(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
  return text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6))
}
