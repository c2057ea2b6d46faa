import { createHmac, hkdfSync } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createPseudonyms } from '../../../src/audit/phi/pseudonym.ts'

/** The bytes 0 to 31, as in `docs/audit-events.md`. */
const SECRET = Buffer.from('AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=', 'base64')
const OLD = Buffer.alloc(32, 0xff)

describe('a pseudonym', () => {
  // Computed with Python's hmac and hashlib.
  test.each([
    ['org_1', '123', 'pt_k1_OMKeXRz2N3IEtD7OCYNi81'],
    ['org_2', '123', 'pt_k1_T4ibm-W0AR_ZjcCXgGefd5'],
    ['', '123', 'pt_k1_Lw0eVX14N7Z4jPycOrEokt'],
    ['org_1', 'Zoë-7', 'pt_k1_CS94fBK_MUzFZYA_k1R-n_'],
  ])('of organization %j and patient %j is the published one', (organization, patient, pseudonym) => {
    expect(createPseudonyms([{ id: 'k1', secret: SECRET }]).of(organization, patient)).toBe(pseudonym)
  })

  test('is what the formula of the contract gives, spelled out', () => {
    const pseudonyms = createPseudonyms([{ id: 'k1', secret: SECRET }])
    fc.assert(
      fc.property(fc.string(), fc.string({ unit: 'binary' }), (organization, patient) => {
        const key = Buffer.from(
          hkdfSync('sha256', SECRET, Buffer.alloc(0), Buffer.from(`hc-audit:${organization}`), 32),
        )
        const mac = createHmac('sha256', key)
          .update(Buffer.from(`Patient/${patient}`))
          .digest()
        const text = mac.toString('base64').replaceAll('+', '-').replaceAll('/', '_').slice(0, 22)
        expect(pseudonyms.of(organization, patient)).toBe(`pt_k1_${text}`)
      }),
    )
  })

  test('is written by the first key, and looked for by all', () => {
    const pseudonyms = createPseudonyms([
      { id: 'k1', secret: SECRET },
      { id: 'old', secret: OLD },
    ])
    expect(pseudonyms.of('org_1', '123')).toBe('pt_k1_OMKeXRz2N3IEtD7OCYNi81')
    expect(pseudonyms.all('org_1', '123')).toEqual(['pt_k1_OMKeXRz2N3IEtD7OCYNi81', 'pt_old_Q4g6LGDalS4PcV9O6g4E4i'])
  })

  test('stays the same when more organizations call than derived keys are kept', () => {
    const pseudonyms = createPseudonyms([{ id: 'k1', secret: SECRET }])
    for (let each = 0; each < 2500; each += 1) pseudonyms.of(`other_${each}`, '123')
    expect(pseudonyms.of('org_1', '123')).toBe('pt_k1_OMKeXRz2N3IEtD7OCYNi81')
  })

  test('is never that of another pair, whichever was asked for before', () => {
    const pseudonyms = createPseudonyms([{ id: 'k1', secret: SECRET }])
    const pairs = [
      ['org_1', '123'],
      ['org_11', '23'],
      ['org_', '1123'],
      ['', 'org_1123'],
      ['6:', 'x'],
      ['6', ':x'],
    ] as const
    for (const [organization, patient] of [...pairs, ...pairs]) {
      const anew = createPseudonyms([{ id: 'k1', secret: SECRET }]).of(organization, patient)
      expect(pseudonyms.of(organization, patient)).toBe(anew)
    }
    expect(new Set(pairs.map(([organization, patient]) => pseudonyms.of(organization, patient))).size).toBe(
      pairs.length,
    )
  })

  test('stays the same when more patients are asked for than pseudonyms are kept', () => {
    const pseudonyms = createPseudonyms([{ id: 'k1', secret: SECRET }])
    const first = pseudonyms.of('org_1', '123')
    for (let each = 0; each < 12_000; each += 1) pseudonyms.of('org_1', `other_${each}`)
    expect(pseudonyms.of('org_1', '123')).toBe(first)
  })

  test('needs a key', () => {
    expect(() => createPseudonyms([])).toThrow(TypeError)
  })
})
