// `npm run prove:tokens-life [-- --quick] [-- --only=rotation|postgres|redis] [-- --seconds=60] [-- --revocations=200]`: the
// life of minted tokens. Signing keys rotate under load, and no good token may be refused by a verifier that keeps its key set
// for five minutes; then keys and tokens are revoked, and their tokens must be refused on another process within a second.
import { conclude, createFindings, readFlags } from './prove/command.mjs'
import { proveReach } from './prove/tokens-reach.mjs'
import { proveRotation } from './prove/tokens-rotation.mjs'

const flags = readFlags({ seconds: 60, revocations: 200, only: 'all', quick: false })
const seconds = flags.quick ? 25 : flags.seconds
const count = flags.quick ? 40 : flags.revocations
const findings = createFindings()
const say = (line) => console.log(line)
const PARTS = {
  rotation: async () => (await proveRotation({ seconds, findings })).forEach((line) => say(line)),
  postgres: () => proveReach({ kind: 'postgres', count, findings, say }),
  redis: () => proveReach({ kind: 'redis', count, findings, say }),
}
if (flags.only !== 'all' && !Object.hasOwn(PARTS, flags.only))
  throw new Error(`--only: one of ${Object.keys(PARTS).join(', ')}`)

say(`Life of minted tokens, Node ${process.version}.`)
for (const [name, prove] of Object.entries(PARTS)) if (flags.only === 'all' || flags.only === name) await prove()
conclude(findings, 'prove:tokens-life')
