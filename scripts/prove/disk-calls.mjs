// Calls of `prove-disk.mjs`: good ones, one after the other, and floods of bad ones.
import { randomBytes, randomInt } from 'node:crypto'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { crc32 } from 'node:zlib'

/** Calls until `stop`, `width` at a time, each worker every `everyMs`; every answer goes to `judge`. */
export function startCalls({ port, key, width, everyMs = 0, prefix, judge }) {
  const agent = new Agent({ keepAlive: true, maxSockets: width })
  const state = { sent: 0, stopped: false }
  const worker = async () => {
    while (!state.stopped) {
      state.sent += 1
      const id = `${prefix}-${state.sent}`
      judge({ id, ...(await call({ port, agent, key, id })) })
      if (everyMs > 0) await new Promise((resolve) => setTimeout(resolve, everyMs))
    }
  }
  const running = Promise.all(Array.from({ length: width }, worker))
  return async () => {
    state.stopped = true
    await running
    agent.destroy()
  }
}

function call({ port, agent, key, id }) {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${key}`, 'x-request-id': id }
    const sent = request({ port, agent, host: '127.0.0.1', path: `/v1/patients/${id}`, headers }, (answer) => {
      const chunks = []
      answer.on('data', (chunk) => chunks.push(chunk))
      answer.on('close', () => {
        const { statusCode: status, headers: got } = answer
        resolve({ status, retryAfter: got['retry-after'] ?? null, body: Buffer.concat(chunks).toString() })
      })
    })
    sent.on('error', (error) => resolve({ status: 0, retryAfter: null, body: error.message }))
    sent.end()
  })
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** Well-formed, and issued by nobody. */
function unknownKey() {
  const body = `hc_live_sk_${[...randomBytes(30)].map((byte) => BASE62[byte % 62]).join('')}`
  let [check, rest] = ['', crc32(body)]
  for (let at = 0; at < 6; at += 1) {
    check = BASE62[rest % 62] + check
    rest = Math.floor(rest / 62)
  }
  return body + check
}

function forgedToken(issuer, audience) {
  const text = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const iat = Math.floor(Date.now() / 1000)
  const claims = { iss: issuer, aud: audience, iat, exp: iat + 600, sub: 'u', org: 'org_1', env: 'live', scope: '' }
  const header = text({ alg: 'RS256', typ: 'at+jwt', kid: 'k1' })
  return `${header}.${text({ ...claims, jti: randomBytes(8).toString('hex') })}.${randomBytes(256).toString('base64url')}`
}

const PIPELINED = 32

/** Bad calls from many addresses until `stop`; gives how often each status was answered. */
export function startFlood({ port, connections, issuer, audience }) {
  const credentials = [
    () => `Authorization: Bearer ${unknownKey()}\r\n`,
    () => `Authorization: Bearer ${unknownKey()}\r\n`,
    () => `Authorization: Bearer hc_live_sk_${randomBytes(6).toString('hex')}!\r\n`,
    () => `Authorization: Bearer ${forgedToken(issuer, audience)}\r\n`,
    () => '',
  ]
  const statuses = {}
  let stopped = false
  const shot = () => {
    const ip = `203.${randomInt(256)}.${randomInt(256)}.${randomInt(1, 255)}`
    const credential = credentials[randomInt(credentials.length)]()
    return `GET /v1/patients/7 HTTP/1.1\r\nHost: flood\r\nX-Forwarded-For: ${ip}\r\n${credential}\r\n`
  }
  const running = Promise.all(
    Array.from({ length: connections }, () => {
      const socket = connect(port, '127.0.0.1')
      socket.setNoDelay(true)
      return stream(socket, { shot, statuses, isOver: () => stopped })
    }),
  )
  return async () => {
    stopped = true
    await running
    return statuses
  }
}

/** So many requests at once, and the next when all are answered. */
function stream(socket, { shot, statuses, isOver }) {
  return new Promise((resolve, reject) => {
    let open = 0
    let rest = ''
    const send = () => {
      open = PIPELINED
      socket.write(Array.from({ length: PIPELINED }, shot).join(''))
    }
    socket.setEncoding('latin1')
    socket.on('connect', send)
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      rest += chunk
      for (const [, status] of rest.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
        statuses[status] = (statuses[status] ?? 0) + 1
        open -= 1
      }
      rest = rest.slice(rest.lastIndexOf('HTTP/1.1 ') + 13).slice(-13)
      if (open > 0) return
      if (!isOver()) send()
      else {
        socket.end()
        resolve()
      }
    })
  })
}
