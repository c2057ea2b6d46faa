// `npm run bench:stores [-- --max=100000]`: what one look-up costs among 1,000 to 1,000,000 keys, in SQLite and PostgreSQL.
// Writes bench/STORES.md where it went up to a million. The median must not grow to more than twice.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { postgresKeyStore } from '@healthcloud/auth/stores/postgres'
import { sqliteKeyStore } from '@healthcloud/auth/stores/sqlite'
import Database from 'libsql'
import { Pool } from 'pg'
import { digestAt, digestOf, fillPostgres, fillSqlite } from './prove/bulk-keys.mjs'
import { conclude, createFindings, markdown, quantile, readFlags, sorted } from './prove/command.mjs'
import { POSTGRES_URL } from './prove/stores.mjs'

const flags = readFlags({ max: 1_000_000, lookups: 2000 })
const SIZES = [1000, 10_000, 100_000, 1_000_000].filter((size) => size <= flags.max)
const GROWTH_LIMIT = 2
/** Look-ups of one kind in a row; the kinds take turns, in another order each time. */
const CHUNK = 50
const WARM_UP_ROUNDS = 4

const findings = createFindings()
const folder = mkdtempSync(join(tmpdir(), 'hc-bench-stores-'))
const pool = new Pool({ connectionString: POSTGRES_URL, max: 4 })
const prefix = `bench_${randomBytes(4).toString('hex')}`
const lines = []
const say = (line = '') => {
  lines.push(line)
  console.log(line)
}

try {
  await main()
} finally {
  await dropTables()
  await pool.end()
  rmSync(folder, { recursive: true, force: true })
}
conclude(findings, 'bench:stores')
if (flags.max >= 1_000_000) writeFileSync(new URL('../bench/STORES.md', import.meta.url), `${lines.join('\n')}\n`)

async function main() {
  const { rows } = await pool.query('SHOW server_version')
  const engines = [
    { name: 'SQLite', make: makeSqlite },
    { name: 'PostgreSQL', make: makePostgres },
  ]
  const variants = []
  for (const { name, make } of engines) {
    for (const size of SIZES) {
      const begin = performance.now()
      const store = await make(size)
      console.error(`${name}, ${size} keys loaded in ${((performance.now() - begin) / 1000).toFixed(1)} s`)
      for (const known of [true, false]) variants.push({ name, size, known, store, times: [] })
    }
  }
  await measure(variants)
  for (const store of new Set(variants.map((each) => each.store))) await store.close()

  say('# Results of `npm run bench:stores`')
  say()
  say(
    `${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${cpus().length} × ${cpus()[0].model.trim()}; ` +
      `PostgreSQL ${rows[0].server_version} on loopback, SQLite by libsql.`,
  )
  say(
    `One \`find\` of the store by digest, ${flags.lookups} of each kind, one at a time, at random, kinds interleaved. ` +
      'Microseconds. Nothing of the cache of `createAuth` is in it.',
  )
  for (const { name } of engines) {
    say()
    say(`## ${name}`)
    say()
    reportEngine(variants.filter((each) => each.name === name))
  }
}

function reportEngine(variants) {
  const at = (size, known) => {
    const times = sorted(variants.find((each) => each.size === size && each.known === known).times)
    return { median: quantile(times, 0.5), p99: quantile(times, 0.99) }
  }
  const cells = SIZES.map((size) => {
    const [known, unknown] = [at(size, true), at(size, false)]
    return [size.toLocaleString('en'), known.median, known.p99, unknown.median, unknown.p99].map(figure)
  })
  for (const line of markdown(['keys', 'known: median', 'p99', 'unknown: median', 'p99'], cells)) say(line)
  say()
  for (const known of [true, false]) {
    const ratio = at(SIZES.at(-1), known).median / at(SIZES[0], known).median
    const kind = known ? 'Known' : 'Unknown'
    const growth = `${SIZES[0].toLocaleString('en')} to ${SIZES.at(-1).toLocaleString('en')} keys`
    say(`${kind}: from ${growth} the median grows to ${ratio.toFixed(2)} × (limit ${GROWTH_LIMIT} ×).`)
    if (!(ratio <= GROWTH_LIMIT)) {
      findings.violation(
        'a look-up grows with the number of keys',
        `${variants[0].name}, ${kind}: ${ratio.toFixed(2)} ×`,
      )
    }
  }
}

function figure(value) {
  return typeof value === 'number' ? (value * 1000).toFixed(1) : value
}

async function makeSqlite(size) {
  const path = join(folder, `${size}.db`)
  const store = sqliteKeyStore(path)
  await store.ready(AbortSignal.timeout(10_000))
  await store.close()
  const database = new Database(path)
  fillSqlite(database, size)
  database.close()
  return store
}

async function makePostgres(size) {
  const table = `${prefix}_${size}`
  const store = postgresKeyStore(pool, { table })
  await store.ready(AbortSignal.timeout(10_000))
  await fillPostgres(pool, table, size)
  return store
}

/** Rounds of a chunk each; those of the warm-up do not count. */
async function measure(variants) {
  const rounds = Math.ceil(flags.lookups / CHUNK)
  const { signal } = new AbortController()
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    for (const variant of shuffled(variants)) {
      const digests = Array.from({ length: CHUNK }, () => digestFor(variant))
      for (const digest of digests) {
        const begin = performance.now()
        const record = await variant.store.find({ digests: [digest], reveal: () => '' }, { signal })
        const ms = performance.now() - begin
        if ((record?.digest === digest) !== variant.known) findings.violation('a wrong answer', digest)
        if (round >= 0) variant.times.push(ms)
      }
    }
  }
}

function digestFor({ size, known }) {
  return known ? digestAt(Math.floor(Math.random() * size)) : digestOf(randomBytes(16).toString('hex'))
}

function shuffled(list) {
  return list
    .map((item) => [Math.random(), item])
    .toSorted(([a], [b]) => a - b)
    .map(([, item]) => item)
}

async function dropTables() {
  const { rows } = await pool.query(
    `SELECT format('TABLE %I', tablename) AS name FROM pg_tables
     WHERE schemaname = current_schema() AND starts_with(tablename, $1)
     UNION ALL SELECT 'FUNCTION ' || oid::regprocedure FROM pg_proc
     WHERE pronamespace = current_schema()::regnamespace AND starts_with(proname, $1)`,
    [prefix],
  )
  for (const { name } of rows) await pool.query(`DROP ${name}`)
}
