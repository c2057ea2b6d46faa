// One server of the issuing part, a process of its own: `node bench/issuing-server.mjs <framework> <kind>`; answers over IPC.
// `bare` reads the same body and answers as many bytes; `signing` does so too, and makes one signature in between.
import { constants, createPrivateKey, sign } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Router from '@koa/router'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import { createAuth, memoryKeyStore } from '@healthcloud/auth'
import { mount as mountExpress } from '@healthcloud/auth/express'
import { mount as mountFastify } from '@healthcloud/auth/fastify'
import { mount as mountKoa } from '@healthcloud/auth/koa'
import { tokenEndpoint } from '@healthcloud/auth/server'

const [framework, kind] = process.argv.slice(2)
const { issuer, audience, signingKey, record } = JSON.parse(process.env.BENCH)
const PATH = '/v1/auth/token'
const SIGNATURES = 200
const answer = {
  access_token: 'x'.repeat(760),
  token_type: 'Bearer',
  expires_in: 3600,
  scope: 'read:patients exec:agents',
  issued_at: '2026-03-18T12:00:00Z',
}
const input = { key: createPrivateKey({ key: signingKey, format: 'jwk' }), padding: constants.RSA_PKCS1_PADDING }
const signed = Buffer.alloc(430, 'x')
let directory

const signature = () => sign('sha256', signed, input)
const isBare = kind === 'bare' || kind === 'signing'

function answerBare() {
  if (kind === 'signing') signature()
  return answer
}

function endpoint() {
  const live = kind === 'live'
  if (live) directory = mkdtempSync(join(tmpdir(), 'hc-bench-'))
  const auth = createAuth({
    environment: record.environment,
    keys: { store: memoryKeyStore([{ ...record, createdAt: new Date(0) }]), cacheSeconds: 3600 },
    issuing: { issuer, audience, signingKeys: [signingKey] },
    transport: { https: 'off' },
    ...(live
      ? { audit: { directory, pseudonymKeys: [{ id: 'k1', secret: Buffer.alloc(32, 1).toString('base64') }] } }
      : {}),
  })
  return tokenEndpoint(auth)
}

const FRAMEWORKS = {
  express: () => {
    const app = express()
    if (isBare) app.post(PATH, express.json(), (_request, response) => void response.json(answerBare()))
    else app.post(PATH, mountExpress(endpoint()))
    return app
  },
  koa: () => {
    const app = new Koa()
    const router = new Router()
    const bare = async (context) => {
      const chunks = []
      for await (const chunk of context.req) chunks.push(chunk)
      JSON.parse(Buffer.concat(chunks).toString())
      context.body = answerBare()
    }
    router.post(PATH, isBare ? bare : mountKoa(endpoint()))
    app.use(router.routes())
    return app.callback()
  },
  fastify: async () => {
    const app = Fastify()
    if (isBare) app.post(PATH, answerBare)
    else await app.register(mountFastify(PATH, endpoint()))
    await app.ready()
    return (request, response) => app.routing(request, response)
  },
}

/** CPU microseconds of one signature in a loop, with no request around it. */
function signRaw() {
  const before = process.cpuUsage()
  for (let count = 0; count < SIGNATURES; count += 1) signature()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / SIGNATURES
}

const server = http.createServer(await FRAMEWORKS[framework]())
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
process.on('message', (message) => {
  process.send(message === 'sign' ? { signature: signRaw() } : { cpu: process.cpuUsage() })
})
process.on('disconnect', () => {
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
  process.exit()
})
