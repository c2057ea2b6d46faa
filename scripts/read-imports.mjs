// What a TypeScript file imports, without a parser (TypeScript 7 has no JavaScript API): comments and strings are
// blanked out first, so that neither can hide an import or look like one.

/** A `/` after one of these begins a regular expression, after anything else it divides. */
const BEFORE_REGEXP =
  /(^|[(,=:[!&|?{};+\-*%<>~^]|\b(return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield))\s*$/

/**
 * `code` has the length and the lines of the source; comments are spaces, and of string and regular expression literals
 * the quotes alone are left. `strings` maps the offset of a quoted string to its text.
 */
export function maskSource(source) {
  const out = source.split('')
  const strings = new Map()
  const blank = (from, to) => {
    for (let i = from; i < to; i += 1) if (out[i] !== '\n') out[i] = ' '
  }
  const braces = []
  let at = 0
  const skip = (end, keepEnds) => {
    blank(keepEnds ? at + 1 : at, keepEnds ? end - 1 : end)
    at = end
  }
  while (at < source.length) {
    const char = source[at]
    const two = source.slice(at, at + 2)
    if (two === '//') skip(endOf(source, '\n', at), false)
    else if (two === '/*') skip(Math.min(source.length, endOf(source, '*/', at + 2) + 2), false)
    else if (char === "'" || char === '"') {
      const end = endOfQuoted(source, at)
      strings.set(at, source.slice(at + 1, end - 1))
      skip(end, true)
    } else if (char === '`') skip(endOfTemplate(source, at + 1, braces), true)
    else if (char === '}' && braces.at(-1) === 0) {
      braces.pop()
      skip(endOfTemplate(source, at + 1, braces), true)
    } else if (char === '/' && BEFORE_REGEXP.test(out.slice(Math.max(0, at - 40), at).join(''))) {
      skip(endOfRegExp(source, at), true)
    } else {
      if (braces.length > 0 && char === '{') braces[braces.length - 1] += 1
      if (braces.length > 0 && char === '}') braces[braces.length - 1] -= 1
      at += 1
    }
  }
  return { code: out.join(''), strings }
}

function endOf(source, text, from) {
  const found = source.indexOf(text, from)
  return found === -1 ? source.length : found
}

function endOfQuoted(source, from) {
  const quote = source[from]
  let at = from + 1
  while (at < source.length && source[at] !== quote && source[at] !== '\n') at += source[at] === '\\' ? 2 : 1
  return at + 1
}

/** Ends after the closing backtick, or after `${`, which opens a level of braces. */
function endOfTemplate(source, from, braces) {
  let at = from
  while (at < source.length && source[at] !== '`') {
    if (source[at] === '$' && source[at + 1] === '{') {
      braces.push(0)
      return at + 2
    }
    at += source[at] === '\\' ? 2 : 1
  }
  return at + 1
}

function endOfRegExp(source, from) {
  let inClass = false
  let at = from + 1
  while (at < source.length && source[at] !== '\n' && (inClass || source[at] !== '/')) {
    if (source[at] === '[') inClass = true
    if (source[at] === ']') inClass = false
    at += source[at] === '\\' ? 2 : 1
  }
  return at + 1
}

const STATEMENTS = [
  {
    kind: 'import',
    at: /\b(?:import|export)(\s+type)?\b(?=[\s{*])(?:(?!\b(?:import|export)\b)[^;'"`()=])*?\bfrom\s*(?=['"])/g,
  },
  { kind: 'import', at: /\bimport\s*(?=['"])/g },
  { kind: 'augment', at: /\bdeclare\s+module\s*(?=['"])/g },
  { kind: 'dynamic', at: /(?<![.\w$])import\s*\(\s*/g },
  { kind: 'dynamic', at: /(?<![.\w$])require\s*\(\s*/g },
  { kind: 'dynamic', at: /\bgetBuiltinModule\s*\(\s*/g },
]

/** `specifier` is null where it is computed. An `import('…')` type counts like an import of a value. */
export function readImports(code, strings) {
  const found = []
  for (const { kind, at } of STATEMENTS) {
    for (const match of code.matchAll(at)) {
      const end = match.index + match[0].length
      const specifier = strings.get(end) ?? null
      if (kind === 'dynamic' && specifier === null && isMethod(code, end)) continue
      const line = code.slice(0, match.index).split('\n').length
      found.push({ kind, specifier, typeOnly: match[1] !== undefined, line })
    }
  }
  return found.toSorted((a, b) => a.line - b.line)
}

/** `import(key: string): void` and `import(key) {` declare a method of that name; `from` is behind the parenthesis. */
function isMethod(code, from) {
  let depth = 1
  let at = from
  while (at < code.length && depth > 0) {
    if (code[at] === '(') depth += 1
    if (code[at] === ')') depth -= 1
    at += 1
  }
  return /^(:|\s*\{)/.test(code.slice(at, at + 20))
}
