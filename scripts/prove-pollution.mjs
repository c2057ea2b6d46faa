// `npm run prove:pollution`: every name of test/security/pollution.test.ts on every framework, not on one in turn.
import { spawnSync } from 'node:child_process'
import { localBin, ROOT } from './local-bin.mjs'

const { status } = spawnSync(
  process.execPath,
  [localBin('vitest'), 'run', '--project', 'alone', 'test/security/pollution.test.ts'],
  { cwd: ROOT, stdio: 'inherit', env: { ...process.env, HC_PROVE_POLLUTION: '1' } },
)
process.exitCode = status ?? 1
