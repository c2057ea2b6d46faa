import hc = require('@healthcloud/auth')
import express = require('express')
import hcExpress = require('@healthcloud/auth/express')

declare module '@healthcloud/auth' {
  interface ScopeRegistry {
    'read:labs': true
  }
}

const auth = hc.createAuth({
  environment: 'test',
  keys: { store: hc.memoryKeyStore() },
  scopes: { 'read:labs': { description: 'Read laboratory results', level: 'Standard' } },
})
const { requireScope } = hcExpress.expressGuards(auth)
const app = express()
app.get('/labs/:id', requireScope('read:labs'), (req, res) => {
  const id: string = req.params.id
  res.json({ id, organizationId: req.principal.organizationId })
})
// @ts-expect-error a typo
requireScope('read:lab')
