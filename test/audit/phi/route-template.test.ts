import { describe, expect, test } from 'vitest'
import { readTemplate } from '../../../src/audit/phi/route-template.ts'

/** `:name` a parameter, `~` open, else literal. */
function shown(route: string): string {
  const { segments, complete } = readTemplate(route)
  const text = segments.map((each) =>
    each.kind === 'parameter' ? `:${each.name}` : each.kind === 'open' ? '~' : each.text,
  )
  return `/${text.join('/')}${complete ? '' : ' …'}`
}

describe('a template is read', () => {
  test.each([
    ['/v1/patients/:id', '/v1/patients/:id'],
    ['/', '/'],
    ['/a//b/', '/a/b'],
    ['/patients/:id(\\d+)', '/patients/:id'],
    ['/patients/:id([0-9/]{2,})/x', '/patients/:id/x'],
    ['/patients/:id(^\\d{2}$)', '/patients/:id'],
    ['/patients/:id((?:a|b)+)', '/patients/:id'],
    ['/patients/:id?', '/patients/:id'],
    ['/patients{/:id}', '/patients/:id'],
    ['/patients{/:id}/x', '/patients/:id/x'],
    ['/patients/:"patient-id"/x', '/patients/:patient-id/x'],
    ['/patients/:id.:format?', '/patients/:id'],
    ['/patients/:from-:to', '/patients/:from'],
    ['/patients/mrn-:id', '/patients/:id'],
    ['/patients/:größe', '/patients/:größe'],
    ['/files/*', '/files/~'],
    ['/files/*rest', '/files/~'],
    ['/files{/*rest}', '/files/~'],
    ['/files/(.*)', '/files/~'],
    ['/files/([0-9]+)/x', '/files/~/x'],
    ['/Patient/:id/$everything', '/Patient/:id/$everything'],
    ['/Patient/:id/\\$everything', '/Patient/:id/$everything'],
    ['/a::b/:id', '/a:b/:id'],
    ['/patients/::verb', '/patients/:verb'],
    ['/a\\:b', '/a:b'],
  ])('%s', (route, expected) => {
    expect(shown(route)).toBe(expected)
  })

  test('a doubled or escaped colon is text and no parameter', () => {
    expect(readTemplate('/patients/::verb').segments.at(-1)).toEqual({ kind: 'literal', text: ':verb' })
    expect(readTemplate('/patients/\\:verb').segments.at(-1)).toEqual({ kind: 'literal', text: ':verb' })
  })

  test.each([
    ['nothing of an unknown route', '*', '/ …'],
    ['nothing of a regular expression', '^\\/patients\\/(\\d+)$', '/ …'],
    ['nothing of one with unbalanced parentheses', '/a(b', '/ …'],
    ['nothing of one with a parenthesis too many', '/a)b', '/ …'],
    [
      'the mounts before a regular expression',
      '/orgs/:org/patients/:pid^\\/notes\\/(\\d+)$',
      '/orgs/:org/patients/:pid …',
    ],
    ['the mounts before one that is not anchored', '/orgs/:org\\/notes', '/orgs/:org …'],
    ['nothing of the empty text', '', '/ …'],
  ])('%s', (_, route, expected) => {
    expect(shown(route)).toBe(expected)
  })
})
