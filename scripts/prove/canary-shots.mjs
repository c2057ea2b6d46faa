// Requests that are full of secrets, made from a seed.
import { request } from 'node:http'
import { CONTROL, pick } from './canary-secrets.mjs'

const PATHS = [
  '/v1/patients/:id',
  '/v1/patients/:id',
  '/v1/observations',
  '/v1/failing/:id',
  '/v1/touching/:id',
  '/v1/tampering/:id',
  '/v1/annotated/:id',
  '/v1/charts/:id',
  '/v1/optional/:id',
  '/orgs/:id/x',
  '/v1/nowhere/:id',
  '/:id',
  '/v1/patients/:id/%zz',
]

const METHODS = ['GET', 'GET', 'GET', 'GET', 'GET', 'GET', 'POST', 'POST', 'HEAD', 'PUT', 'OPTIONS']
/** Times both good credentials, beside one each of all bad ones. */
const GOOD_SHARE = 12

/** Gives the next request each time; no two alike but by chance. */
export function createShots({ random, keys, texts, tokens }) {
  const credentials = credentialsOf({ keys, texts, tokens })
  const headers = headersOf({ keys, texts, tokens })
  const queries = queriesOf({ keys, texts, tokens })
  const ids = [keys.good, keys.unknown, texts.given, texts.mrn, texts.pathId, texts.dob, texts.address, tokens.good]
  const some = (list, share) => list.filter(() => random() < share)
  return () => {
    const method = pick(random, METHODS)
    const body = method === 'POST' || method === 'PUT' ? pick(random, bodiesOf({ keys, texts })) : null
    const query = some(queries, 0.25)
    const path = pick(random, PATHS).replace(':id', encodeURIComponent(pick(random, ids)))
    return {
      method,
      path: query.length === 0 ? path : `${path}?${query.join('&')}`,
      headers: [
        ...pick(random, credentials).map((value) => ['Authorization', value]),
        ...some(headers, 0.3),
        ...(body === null ? [] : [['Content-Type', 'application/json']]),
      ],
      body,
    }
  }
}

/** One with each credential: chance alone would leave one out now and then. */
export function sureShots({ keys, texts, tokens }) {
  const [path, body] = [`/v1/patients/${texts.mrn}`, null]
  return credentialsOf({ keys, texts, tokens }).map((values) => ({
    method: 'GET',
    path,
    headers: values.map((value) => ['Authorization', value]),
    body,
  }))
}

/** One that must leave its trace everywhere. */
export function controlShot(keys) {
  return {
    method: 'GET',
    path: `/v1/patients/7?${CONTROL}=1`,
    headers: [
      ['Authorization', `Bearer ${keys.good}`],
      ['X-Request-Id', CONTROL],
    ],
    body: null,
  }
}

function credentialsOf({ keys, texts, tokens }) {
  const good = [[`Bearer ${keys.good}`], [`Bearer ${tokens.good}`]]
  return [
    ...Array.from({ length: GOOD_SHARE }, () => good).flat(),
    [],
    [`Bearer ${keys.unknown}`],
    [`Bearer ${keys.revoked}`],
    [`Bearer ${keys.cursed}`],
    [`Bearer ${keys.good}x`],
    [`Bearer ${keys.good.toUpperCase()}`],
    [`Bearer ${keys.good} ${texts.mrn}`],
    [`bearer   ${keys.good}`],
    [`Bearer:${keys.good}`],
    [`ApiKey ${keys.good}`],
    [keys.good],
    [`Basic ${Buffer.from(texts.basic).toString('base64')}`],
    [`Bearer ${keys.good}`, `Bearer ${tokens.good}`],
    [`Bearer ${tokens.good.slice(0, -8)}AAAAAAAA`],
    [`Bearer ${tokens.expired}`],
    [`Bearer ${tokens.good}.${texts.pathId}`],
    [`Bearer ${keys.good}${'x'.repeat(9000)}`],
  ]
}

function headersOf({ keys, texts, tokens }) {
  return [
    ['X-Forwarded-For', texts.forwarded],
    ['X-Forwarded-For', `${texts.forwardedIp}, ${texts.forwarded}, 192.0.2.1`],
    ['Forwarded', `for=${texts.forwarded}`],
    ['User-Agent', `${texts.userAgent} ${keys.good}`],
    ['Cookie', `s=${texts.cookie}; k=${keys.good}`],
    ['Referer', texts.referer],
    ['X-Request-Id', keys.good],
    ['X-Request-Id', `a ${texts.mrn}`],
    ['X-Request-Id', tokens.good.slice(0, 64)],
    ['X-Request-Id', keys.good.toUpperCase()],
    ['X-Patient', texts.given],
    ['X-Principal', `{"keyId":"${texts.principal}"}`],
    ['Principal', texts.principal],
    ['Traceparent', texts.pathId],
    ['If-None-Match', `"${texts.mrn}"`],
  ]
}

function queriesOf({ keys, texts, tokens }) {
  return [
    `name=${encodeURIComponent(texts.given)}`,
    `family=${encodeURIComponent(texts.family)}`,
    `birthdate=${texts.dob}`,
    `mrn=${texts.mrn}`,
    `patient=${texts.mrn}`,
    `_count=${texts.queryValue}`,
    `_id=${texts.pathId}`,
    `${texts.queryName}=1`,
    `access_token=${keys.good}`,
    `${keys.good}=${keys.good}`,
    `token=${tokens.good}`,
    `principal=${texts.principal}`,
  ]
}

function bodiesOf({ keys, texts }) {
  const principal = { keyId: texts.principal, subject: texts.principal, scopes: [texts.principal] }
  return [
    null,
    JSON.stringify({ note: texts.bodyText, key: keys.good, name: texts.given, principal, actor: principal }),
    JSON.stringify({ resourceType: 'Patient', id: texts.mrn, birthDate: texts.dob, name: [{ family: texts.family }] }),
    `{"note":"${texts.bodyText}`,
  ]
}

/** One request over a real socket: the status, and all that came with it. */
export function fire({ port, agent, shot: { method, path, headers, body } }) {
  return new Promise((resolve, reject) => {
    const length = body === null ? [] : ['Content-Length', String(Buffer.byteLength(body))]
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        agent,
        method,
        path,
        headers: ['Host', 'canary.example', ...headers.flat(), ...length],
      },
      (answer) => {
        const chunks = []
        answer.on('data', (chunk) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () =>
          resolve({
            status: answer.statusCode,
            headers: answer.rawHeaders.join('\n'),
            body: Buffer.concat(chunks).toString(),
          }),
        )
      },
    )
    sent.on('error', reject)
    sent.end(body ?? undefined)
  })
}
