/** Something that must come out nowhere. */
export interface Canary {
  readonly name: string
  readonly text: string
  /** Parts of it that give it away as well as the whole. */
  readonly parts?: readonly string[]
}

interface Needle {
  readonly finding: Finding
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
  // Many forms come to one text: a word in URL form is the word, and what has no `+` and no `/` is base64url, too.
  const [inAnyCase, asIs] = [grouped(needles, true), grouped(needles, false)]
  return (text) => {
    const lower = text.toLowerCase()
    const found = [
      ...[...inAnyCase].filter(([needle]) => lower.includes(needle)),
      ...[...asIs].filter(([needle]) => text.includes(needle)),
    ].flatMap(([, findings]) => findings)
    return [...new Map(found.map((each) => [`${each.canary} ${each.form}`, each])).values()]
  }
}

/** What the finding of each text says. */
function grouped(needles: readonly Needle[], anyCase: boolean): ReadonlyMap<string, readonly Finding[]> {
  const groups = new Map<string, Finding[]>()
  for (const needle of needles) {
    if (needle.anyCase !== anyCase) continue
    const group = groups.get(needle.text)
    if (group === undefined) groups.set(needle.text, [needle.finding])
    else group.push(needle.finding)
  }
  return groups
}

function needlesOf(canary: string, text: string): readonly Needle[] {
  const bytes = Buffer.from(text)
  const needle = (form: string, anyCase: boolean) => (each: string) => ({
    finding: { canary, form },
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
