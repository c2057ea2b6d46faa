// Preloaded before an entry is imported: from here on nothing may be opened, sent, started or scheduled. What is tried is
// refused, and remembered in case the refusal is swallowed.
import childProcess from 'node:child_process'
import dgram from 'node:dgram'
import dns from 'node:dns'
import fs from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import workers from 'node:worker_threads'

const effects = []
const write = fs.writeSync
const refuse = (name) => () => {
  effects.push(name)
  throw new Error(`effect at import: ${name}`)
}
const forbid = (object, label, names) => {
  for (const name of names) object[name] = refuse(`${label}.${name}`)
}

const writing = Object.keys(fs).filter((name) =>
  /^(write|append|mk|rm|unlink|rename|link|symlink|copy|cp|truncate|ftruncate|chmod|chown|utimes|createWriteStream|watch)/.test(
    name,
  ),
)
forbid(fs, 'fs', writing)
forbid(
  fs.promises,
  'fs.promises',
  Object.keys(fs.promises).filter((name) => name in fs && writing.includes(name)),
)
for (const name of ['open', 'openSync']) {
  const open = fs[name]
  fs[name] = (path, flags, ...rest) => {
    if (flags === undefined || flags === 'r' || flags === 0) return open(path, flags, ...rest)
    return refuse(`fs.${name}`)()
  }
}
fs.promises.open = refuse('fs.promises.open')

forbid(net.Socket.prototype, 'net.Socket', ['connect'])
forbid(net.Server.prototype, 'net.Server', ['listen'])
forbid(net, 'net', ['connect', 'createConnection', 'createServer'])
forbid(dgram, 'dgram', ['createSocket'])
forbid(dns, 'dns', ['lookup', 'resolve', 'resolve4', 'resolve6'])
forbid(dns.promises, 'dns.promises', ['lookup', 'resolve', 'resolve4', 'resolve6'])
forbid(http, 'http', ['request', 'get', 'createServer'])
forbid(https, 'https', ['request', 'get', 'createServer'])
forbid(childProcess, 'child_process', ['spawn', 'spawnSync', 'exec', 'execSync', 'execFile', 'execFileSync', 'fork'])
forbid(workers, 'worker_threads', ['Worker'])
forbid(globalThis, 'globalThis', ['fetch', 'setInterval', 'setTimeout', 'setImmediate'])
syncBuiltinESMExports()

process.on('exit', () => {
  if (effects.length === 0) return
  write(2, `effects at import: ${effects.join(', ')}\n`)
  process.exitCode = 1
})
