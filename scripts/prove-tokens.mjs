// `npm run prove:tokens [-- count [seed]]`: the differential property of test/tokens/differential.test.ts on 100,000 tokens.
import { spawnSync } from 'node:child_process'

const [count = '100000', seed] = process.argv.slice(2)
const { status } = spawnSync('npx', ['vitest', 'run', '--project', 'source', 'test/tokens/differential.test.ts'], {
  stdio: 'inherit',
  env: { ...process.env, HC_PROVE_TOKENS: count, ...(seed === undefined ? {} : { HC_PROVE_SEED: seed }) },
})
process.exitCode = status ?? 1
