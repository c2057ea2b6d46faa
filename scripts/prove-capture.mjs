// `npm run prove:capture`: PHI capture over all 5,300 examples of FHIR R4, against an oracle made from FHIR's own definitions;
// then what a walk takes, beside the serialisation that follows it.
import { spawnSync } from 'node:child_process'
import { bodyPhi } from '../dist/src/audit/phi/body.js'
import { localBin, ROOT } from './local-bin.mjs'

const ROUNDS = 50
const WARM_MS = 200

const { status } = spawnSync(
  process.execPath,
  [
    localBin('vitest'),
    'run',
    '--project',
    'source',
    'test/audit/phi/body.test.ts',
    'test/audit/phi/patient-compartment.test.ts',
  ],
  { cwd: ROOT, stdio: 'inherit', env: { ...process.env, HC_PROVE_CAPTURE: '1' } },
)

function searchOf(entries) {
  return {
    resourceType: 'Bundle',
    type: 'searchset',
    entry: Array.from({ length: entries }, (_, at) => ({
      fullUrl: `https://a.example/fhir/Observation/${at}`,
      search: { mode: 'match' },
      resource: {
        resourceType: 'Observation',
        id: `o${at}`,
        status: 'final',
        code: { coding: [{ system: 'http://loinc.org', code: '8867-4', display: 'Heart rate' }] },
        subject: { reference: `Patient/p${at}` },
        effectiveDateTime: '2026-11-24T03:05:11Z',
        valueQuantity: { value: 72, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
      },
    })),
  }
}

/** Median of the rounds once it is warm, in microseconds. */
function microseconds(work) {
  for (const start = performance.now(); performance.now() - start < WARM_MS;) work()
  const times = Array.from({ length: ROUNDS }, () => {
    const start = process.hrtime.bigint()
    work()
    return Number(process.hrtime.bigint() - start) / 1000
  }).toSorted((a, b) => a - b)
  return times[ROUNDS / 2]
}

const CASES = [
  ['JSON that is not FHIR', { id: '7', items: [1, 2, 3] }],
  ['a Patient', { resourceType: 'Patient', id: '7' }],
  ...[1, 100, 1000, 12_345].map((count) => [`a search, ${count} entries`, searchOf(count)]),
]

console.log(`${'walk, median µs'.padStart(44)}${'JSON.stringify'.padStart(20)}`)
for (const [name, body] of CASES) {
  const [walk, text] = [() => bodyPhi(body), () => JSON.stringify(body)].map(microseconds)
  console.log(`${name.padEnd(28)}${walk.toFixed(1).padStart(16)}${text.toFixed(1).padStart(20)}`)
}
process.exitCode = status ?? 1
