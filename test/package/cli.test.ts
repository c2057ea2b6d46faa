import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ROOT } from '../../scripts/local-bin.mjs'

/** The program that is installed as `hc-auth`, as a process of its own. */
const { bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { bin: Record<string, string> }
const MAIN = join(ROOT, bin['hc-auth'] ?? 'missing')
const NEW = ['keys', 'create', '--org', 'org_1', '--name', 'n', '--scope', 'exec:agents']

let folder: string
let env: NodeJS.ProcessEnv

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hc-bin-'))
  env = {
    PATH: process.env['PATH'],
    HEALTHCLOUD_ENVIRONMENT: 'test',
    HEALTHCLOUD_KEY_STORE_URL: `sqlite:${join(folder, 'keys.db')}`,
  }
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

function start(argv: readonly string[], more: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [MAIN, ...argv], { cwd: ROOT, env: { ...env, ...more } })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (data) => void (output.stdout += String(data)))
  child.stderr.on('data', (data) => void (output.stderr += String(data)))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...output }))
  return { child, ended }
}

async function run(argv: readonly string[], input = '') {
  const { child, ended } = start(argv)
  child.stdin.end(input)
  return ended
}

test('it is a program', () => {
  expect(readFileSync(MAIN, 'utf8').split('\n')[0]).toBe('#!/usr/bin/env node')
})

test('makes a key, takes one in by standard input and lists both', async () => {
  const made = await run(NEW)
  expect([made.code, made.stdout]).toEqual([0, expect.stringMatching(/^hc_test_sk_[0-9A-Za-z]{36}\n$/)])
  const imported = ['keys', 'import', '--org', 'org_1', '--name', 'i', '--scope', 'exec:agents']
  expect((await run(imported, 'hc_test_sk_AbC12xYz9kLmNpQr\n')).code).toBe(0)
  const listed = await run(['keys', 'list', '--org', 'org_1'])
  expect([listed.code, listed.stdout.split('\n').length, listed.stderr]).toEqual([0, 4, '2 keys of org_1.\n'])
})

test('a mistake is a text without a stack', async () => {
  expect(await run(['keys', 'list', '--org', 'a b'])).toEqual({
    code: 2,
    stdout: '',
    stderr: 'hc-auth: --org: expected 1 to 128 printable ASCII characters.\n',
  })
})

test('a reader that leaves is no error, but a key that nobody reads is', async () => {
  const listing = start(['keys', 'list', '--org', 'org_1'])
  listing.child.stdout.destroy()
  expect((await listing.ended).code).toBe(0)
  const making = start(NEW)
  making.child.stdout.destroy()
  const { code, stderr } = await making.ended
  expect(code).toBe(1)
  expect(stderr).toContain('standard output could not be written: nobody has it.\n')
})

test('Ctrl-C ends the wait for an engine that hangs', async () => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const url = `postgres://127.0.0.1:${(silent.address() as AddressInfo).port}/x`
  const connected = once(silent, 'connection')
  const { child, ended } = start(['keys', 'due'], { HEALTHCLOUD_KEY_STORE_URL: url })
  await connected
  await delay(100)
  child.kill('SIGINT')
  const began = performance.now()
  expect(await ended).toEqual({ code: 130, stdout: '', stderr: 'hc-auth: Interrupted.\n' })
  expect(performance.now() - began).toBeLessThan(4000)
  silent.close()
})
