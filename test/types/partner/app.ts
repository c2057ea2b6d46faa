import express from 'express'
import { createAuth, memoryKeyStore, type Scope, type ScopeInfo } from '@healthcloud/auth'
import { expressGuards } from '@healthcloud/auth/express'

const read: ScopeInfo = { description: 'Read laboratory results', level: 'Standard' }
const write: ScopeInfo = { description: 'Order laboratory tests', level: 'Admin' }
const keys = { store: memoryKeyStore() }

const auth = createAuth({ environment: 'test', keys, scopes: { 'read:labs': read, 'write:labs': write } })
// @ts-expect-error one of the declared scopes is missing
createAuth({ environment: 'test', keys, scopes: { 'read:labs': read } })
// @ts-expect-error one that was not declared
createAuth({ environment: 'test', keys, scopes: { 'read:labs': read, 'write:labs': write, 'read:lab': read } })
// @ts-expect-error one of the nine is not the partner's to describe
createAuth({ environment: 'test', keys, scopes: { 'read:labs': read, 'write:labs': write, 'read:patients': read } })
const root = { description: 'Everything', level: 'Root' } as const
// @ts-expect-error a level that no plan has
createAuth({ environment: 'test', keys, scopes: { 'read:labs': root, 'write:labs': write } })

const { requireScope, requireAnyScope } = expressGuards(auth)
const app = express()
app.get('/labs/:id', requireScope('read:labs'), (req, res) => {
  const id: string = req.params.id
  res.json({ id, may: req.principal.scopes.has('write:labs') })
})
app.get('/both', requireScope(['read:patients', 'read:labs']))
app.get('/any', requireAnyScope(['read:patients', 'write:labs']))
// @ts-expect-error a typo in one of the nine
requireScope('read:patient')
// @ts-expect-error a typo in the partner's own
requireScope('read:lab')

export const all: Scope[] = ['read:labs', 'write:labs', 'read:patients']
// @ts-expect-error neither of the nine nor the partner's
export const unknown: Scope[] = ['admin:labs']
