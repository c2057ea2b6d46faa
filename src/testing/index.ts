export { auditSinkSuite, type AuditSinkSuite, type OpenedSink } from './audit-sink-suite.ts'
export { keyStoreSuite, type KeyStoreSuite, type SuiteCase } from './key-store-suite.ts'
