import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compile, node, packConsumers, typeProjects, type Consumers } from './consumer.ts'

const NO_EFFECTS = pathToFileURL(join(import.meta.dirname, 'no-effects.mjs')).href

/** Values that the contract names, by entry; types are the compiler projects' concern. */
const NAMES: Record<string, string[]> = {
  '@healthcloud/auth': ['createAuth', 'exchangeKey', 'fromEnv', 'memoryKeyStore', 'SCOPES', 'ConfigError'],
  '@healthcloud/auth/express': ['expressGuards', 'mount'],
  '@healthcloud/auth/koa': ['koaGuards', 'mount'],
  '@healthcloud/auth/fastify': ['fastifyGuards', 'mount'],
  '@healthcloud/auth/audit': ['readJournal', 'verifyJournal', 'toFhirAuditEvents'],
  '@healthcloud/auth/server': ['tokenEndpoint', 'jwksEndpoint', 'introspectionEndpoint'],
  '@healthcloud/auth/sinks/logger': ['loggerSink'],
  '@healthcloud/auth/sinks/http': ['httpSink'],
  '@healthcloud/auth/sinks/otlp': ['otlpSink'],
  '@healthcloud/auth/sinks/postgres': ['postgresSink'],
  '@healthcloud/auth/sinks/nats': ['natsSink'],
  '@healthcloud/auth/stores/sqlite': ['sqliteKeyStore'],
  '@healthcloud/auth/stores/postgres': ['postgresKeyStore'],
  '@healthcloud/auth/stores/redis': ['redisKeyStore'],
  '@healthcloud/auth/stores/introspection': ['introspectionKeyStore'],
  '@healthcloud/auth/testing': ['auditSinkSuite', 'keyStoreSuite'],
}

let consumers: Consumers

beforeAll(async () => {
  consumers = await packConsumers()
})

afterAll(() => {
  if (consumers !== undefined) rmSync(consumers.folder, { recursive: true, force: true })
})

function script(name: string, text: string): string {
  const path = join(consumers.runtime, name)
  writeFileSync(path, text)
  return path
}

function load(path: string) {
  return node(['--import', NO_EFFECTS, path], consumers.runtime)
}

describe('every entry of the packed tarball, with its declared dependencies alone', () => {
  test('is named by the contract, and the main ones are there', () => {
    expect(consumers.entries).toEqual(expect.arrayContaining(Object.keys(NAMES)))
  })

  test('is imported without an effect, and lets the process end', async () => {
    const path = script(
      'import-all.mjs',
      `const names = {}
for (const entry of ${JSON.stringify(consumers.entries)}) names[entry] = Object.keys(await import(entry))
process.stdout.write(JSON.stringify(names))\n`,
    )
    const { status, stdout, stderr } = await load(path)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const found = JSON.parse(stdout) as Record<string, string[]>
    for (const entry of consumers.entries) {
      expect(found[entry], entry).toEqual(expect.arrayContaining(NAMES[entry] ?? []))
      expect(found[entry], entry).not.toContain('default')
      expect(found[entry]?.length, entry).toBeGreaterThan(0)
    }
  })

  test('is required from CommonJS', async () => {
    const path = script(
      'require-all.cjs',
      `for (const entry of ${JSON.stringify(consumers.entries)}) if (Object.keys(require(entry)).length === 0) throw new Error(entry)
process.stdout.write(typeof require('@healthcloud/auth').createAuth)\n`,
    )
    expect(await load(path)).toEqual({ status: 0, stdout: 'function', stderr: '' })
  })

  test('lets nobody in by another path', async () => {
    const path = script('deep.mjs', `await import('@healthcloud/auth/dist/src/guard.js')\n`)
    const { status, stderr } = await load(path)
    expect(status).toBe(1)
    expect(stderr).toContain('ERR_PACKAGE_PATH_NOT_EXPORTED')
  })

  test('works: an auth made from the tarball takes the key that it has created, and no other', async () => {
    const path = script(
      'use.mjs',
      `import { createAuth, memoryKeyStore } from '@healthcloud/auth'
const auth = createAuth({ environment: 'test', keys: { store: memoryKeyStore() } })
const { key } = await auth.keys.create({
  organizationId: 'org_1', environment: 'test', name: 'tarball', scopes: ['read:patients'], by: 'package.test',
})
const verify = (text) => auth.verify(text, { ip: null, secure: null, operation: 'package.test' })
const [good, bad] = [await verify(key), await verify('hc_test_sk_AbC12xYz9kLmNpQr')]
process.stdout.write(JSON.stringify([good.ok, good.principal?.organizationId, bad.ok, bad.status, bad.code]))
await auth.close()\n`,
    )
    const stdout = '[true,"org_1",false,401,"UNAUTHORIZED"]'
    expect(await node([path], consumers.runtime)).toEqual({ status: 0, stdout, stderr: '' })
  })
})

describe('the watch for effects', () => {
  const effects = [
    ['a file written', `(await import('node:fs')).writeFileSync('x', '')`, 'fs.writeFileSync'],
    ['a file opened for writing', `(await import('node:fs')).openSync('x', 'a')`, 'fs.openSync'],
    ['a folder made', `(await import('node:fs/promises')).mkdir('x')`, 'fs.promises.mkdir'],
    ['a socket', `(await import('node:net')).connect(1)`, 'net.connect'],
    ['a request', `fetch('http://127.0.0.1:1')`, 'globalThis.fetch'],
    ['a timer', `setInterval(() => {}, 1000).unref()`, 'globalThis.setInterval'],
    ['a process', `(await import('node:child_process')).spawn('true')`, 'child_process.spawn'],
  ] as const

  test.each(['fetch(1)', 'try { fetch(1) } catch {}'])('fails a process that does %s', async (text) => {
    const { status, stderr } = await load(script('effect.mjs', `${text}\n`))
    expect(status).toBe(1)
    expect(stderr).toContain('effects at import: globalThis.fetch\n')
  })

  test(`sees ${effects.map(([what]) => what).join(', ')}`, async () => {
    const text = effects.map(([, effect]) => `try { ${effect} } catch {}\n`).join('')
    const stderr = `effects at import: ${effects.map(([, , name]) => name).join(', ')}\n`
    expect(await load(script('effects.mjs', text))).toEqual({ status: 1, stdout: '', stderr })
  })
})

describe('a consumer outside the package compiles what must, and nothing that must not', () => {
  /**
   * Their libraries are checked, too: our declarations are sound. Not koa's: @types/koa 3.0.3 beside the content-disposition of
   * Express 5.3 does not pass by itself.
   */
  const CHECKED = new Set(['core', 'express', 'fastify'])

  test.each(typeProjects())('%s', async (project) => {
    const args = ['--listFiles', '--skipLibCheck', String(!CHECKED.has(project))]
    const { status, stdout } = await compile(project, args, consumers.types)
    expect(stdout.split('\n').filter((line) => line.includes('error TS'))).toEqual([])
    expect(status).toBe(0)
    const files = stdout.split('\n').filter((line) => line.includes('/@healthcloud/auth/'))
    expect(files).toContain(join(consumers.types, 'node_modules/@healthcloud/auth/dist/src/index.d.ts'))
  })

  // What `partner` augments would reach the others, if they were one program.
  test.each(['core express koa fastify', 'partner'])('%s, resolved as a bundler does', async (projects) => {
    const name = `bundled-${projects.replaceAll(' ', '-')}`
    mkdirSync(join(consumers.types, name))
    const config = {
      extends: '../tsconfig.json',
      compilerOptions: { module: 'esnext', moduleResolution: 'bundler' },
      include: projects.split(' ').map((project) => `../${project}/**/*`),
    }
    writeFileSync(join(consumers.types, name, 'tsconfig.json'), JSON.stringify(config))
    expect(await compile(name, [], consumers.types)).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  test('a row that must not compile fails where nothing expects it', async () => {
    const project = join(consumers.types, 'wrong')
    mkdirSync(project)
    writeFileSync(join(project, 'tsconfig.json'), '{ "extends": "../tsconfig.json", "include": ["*"] }')
    writeFileSync(
      join(project, 'app.ts'),
      `import type { ExpressGuards } from '@healthcloud/auth/express'\ndeclare const guards: ExpressGuards\nguards.requireScope('read:patient')\n`,
    )
    const { status, stdout } = await compile('wrong', [], consumers.types)
    expect(status).not.toBe(0)
    expect(stdout).toMatch(/^wrong\/app\.ts\(3,21\): error TS\d+: .*'"read:patient"'/)
  })
})
