import { describe, expect, test } from 'vitest'
import { FHIR_PARAMETERS, queryNames } from '../../../src/audit/phi/query-names.ts'

const ALLOWED: ReadonlySet<string> = new Set([...FHIR_PARAMETERS, 'code', 'date:missing'])

describe('the names of query parameters in an event', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['none', [], []],
    ['those for all FHIR resources', ['_count', '_include', '_id'], ['_count', '_id', '_include']],
    ['each once', ['_count', '_count', 'code'], ['_count', 'code']],
    ['those that the operator allows', ['code'], ['code']],
    ['a star for what may be anything, a name above all', ['John Doe', 'mrn=7', ''], ['*']],
    ['no modifier and no chain', ['_include:iterate', '_has:Observation:patient:code'], ['_has', '_include']],
    ['a modifier that the operator allows', ['date:missing', 'date:above'], ['*', 'date:missing']],
    ['a star for a parameter of a resource', ['name', 'subject:Patient.name', 'identifier'], ['*']],
    ['no spelling but the exact one', ['_COUNT', ' _count', '_count\n', '_count '], ['*']],
    ['nothing of a prototype', ['__proto__', 'constructor', 'toString'], ['*']],
  ])('hold %s', (_, names, kept) => {
    expect(queryNames(names, ALLOWED)).toEqual(kept)
  })

  test("are FHIR R4's, all of them with an underscore", () => {
    for (const name of [
      '_id',
      '_lastUpdated',
      '_tag',
      '_profile',
      '_security',
      '_text',
      '_content',
      '_list',
      '_has',
      '_type',
    ])
      expect(FHIR_PARAMETERS).toContain(name)
    for (const name of ['_sort', '_count', '_include', '_revinclude', '_summary', '_total', '_elements', '_contained'])
      expect(FHIR_PARAMETERS).toContain(name)
    expect(FHIR_PARAMETERS.every((name) => /^_[a-zA-Z]+$/.test(name))).toBe(true)
    expect(FHIR_PARAMETERS).toEqual([...new Set(FHIR_PARAMETERS)].toSorted())
    expect(Object.isFrozen(FHIR_PARAMETERS)).toBe(true)
  })
})
