import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { localBin, ROOT } from '../../scripts/local-bin.mjs'

const run = promisify(execFile)

interface Facts {
  calls: { what: string; statuses: number[]; code: string | null; identical: boolean }[]
  rotation: { before: number[]; after: number[] }[]
  outages: { token: number[]; cachedKey: number[]; unknownKey: number[] }[]
  load: { framework: string; kind: string; calls: number }[]
  journal: { events: number; calls: number; outcomes: Record<string, number> }[]
}

test('the demo shows what it says, and every call that it made is in the journal', async () => {
  await run(process.execPath, [localBin('typescript', 'tsc'), '-p', 'tsconfig.examples.json'], { cwd: ROOT })
  const { stdout, stderr } = await run(process.execPath, ['build/examples/demo/main.js', '--json', '--short'], {
    cwd: ROOT,
    maxBuffer: 1e7,
  })
  const facts = JSON.parse(stdout) as Facts

  expect(stderr).toBe('')
  expect(facts.calls.map(({ statuses, code, identical }) => ({ statuses, code, identical }))).toEqual([
    { statuses: [200, 200, 200], code: null, identical: true },
    { statuses: [200, 200, 200], code: null, identical: true },
    { statuses: [200, 200, 200], code: null, identical: true },
    { statuses: [403, 403, 403], code: 'INSUFFICIENT_SCOPE', identical: true },
    { statuses: [401, 401, 401], code: 'UNAUTHORIZED', identical: true },
    { statuses: [401, 401, 401], code: 'UNAUTHORIZED', identical: true },
    { statuses: [200, 200, 200], code: null, identical: true },
    { statuses: [404, 404, 404], code: 'NOT_FOUND', identical: true },
  ])
  expect(facts.rotation).toEqual([{ before: [200, 200, 200], after: [401, 401, 401] }])
  expect(facts.outages).toEqual([{ token: [200, 200, 200], cachedKey: [200, 200, 200], unknownKey: [503, 503, 503] }])
  expect(facts.load).toHaveLength(6)
  expect(facts.journal).toHaveLength(1)
  expect(facts.journal[0]?.events).toBe(facts.journal[0]?.calls)
})
