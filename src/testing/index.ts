export { keyStoreSuite, type KeyStoreSuite, type SuiteCase } from './key-store-suite.ts'
