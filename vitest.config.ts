import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

const { name, exports } = JSON.parse(readFileSync(join(import.meta.dirname, 'package.json'), 'utf8')) as {
  name: string
  exports: Record<string, string | { default: string }>
}

/** Examples import the package by its name: under test that is the source, so that no build is needed. */
const alias = Object.entries(exports).flatMap(([entry, target]) =>
  typeof target === 'string'
    ? []
    : [
        {
          find: new RegExp(`^${name}${entry.slice(1)}$`),
          replacement: join(import.meta.dirname, target.default.replace('./dist/', './').replace(/\.js$/, '.ts')),
        },
      ],
)

/**
 * Suites that need a process of their own: they change what every module shares while requests are under way, or count
 * what the whole process holds. All others share a worker's modules, which saves most of their cost; the set-up file fails
 * the one that leaves something changed.
 */
const ALONE = ['test/security/{canary,pollution}.test.ts', 'test/http/aborts.test.ts', 'test/auth.test.ts']
const PACKAGE = ['test/package/**/*.test.ts']

/**
 * Suites that start or stop engines, or repeat one thing very often. `npm test` and CI run them; `npm run check` leaves them
 * out, and stays under two minutes. They run alone, too: what they wait for is real time.
 */
const LONG = [
  'test/stores/{postgres,postgres-outage,redis,redis-outages,mutations}.test.ts',
  'test/scripts/summarize.test.ts',
  'test/cli/{engines,issuing-docs}.test.ts',
  'test/server/{two-issuers,introspection-process}.test.ts',
  'test/request/limiter-redis.test.ts',
  'test/sinks/{nats,postgres,suite}.test.ts',
]

export default defineConfig({
  resolve: { alias },
  test: {
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // Many suites wait for deadlines and sockets: more workers than cores, or they would wait one after another.
    maxWorkers: 4,
    // For the compilers that suites start: short-lived, they collect no garbage until they hold a lot of it.
    env: { GOGC: 'off', GOMEMLIMIT: '1GiB' },
    projects: [
      {
        extends: true,
        test: {
          name: 'source',
          include: ['test/**/*.test.ts'],
          exclude: [...ALONE, ...LONG, ...PACKAGE],
          isolate: false,
          setupFiles: ['test/fixtures/shared-process.ts'],
        },
      },
      { extends: true, test: { name: 'alone', include: ALONE } },
      { extends: true, test: { name: 'long', include: LONG } },
      {
        extends: true,
        test: {
          name: 'package',
          include: PACKAGE,
          globalSetup: ['test/package/build.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
