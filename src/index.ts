export type { AuditHandle } from './audit-notes.ts'
export type { AuditEvent } from './audit/event.ts'
export type { AuditLine, AuditSink } from './audit/sink.ts'
export { createAuth, type Auth } from './auth.ts'
export type { Reason } from './decision.ts'
export {
  ConfigError,
  GuardError,
  KeyError,
  NotReadyError,
  OrganizationMismatch,
  StoreCapabilityError,
  StoreConflict,
} from './errors.ts'
export type { AuthHealth } from './health.ts'
export type { KeyAdmin } from './keys/lifecycle.ts'
export type { KeyChange, KeyLookup, KeyRecord, KeyStore, StoreContext } from './keys/store.ts'
export type { Clock } from './lib/clock.ts'
export type { AuthOptions } from './options/auth-options.ts'
export { fromEnv } from './options/from-env.ts'
export type { AccessTokenPrincipal, ApiKeyPrincipal, Environment, Principal, ScopeSet } from './principal.ts'
export type { AuthenticateOptions, GuardOptions, GuardRequest, PhiOption } from './requirement.ts'
export { SCOPES, type Scope, type ScopeInfo, type ScopeRegistry } from './scopes.ts'
export { memoryKeyStore } from './stores/memory.ts'
export type { CredentialVerdict as Verdict, VerifyContext } from './verify-credential.ts'
