export type { AuditHandle } from './exchange/audit-notes.ts'
export type {
  AuditAction,
  AuditActor,
  AuditCheckpoint,
  AuditEvent,
  AuditHttp,
  AuditKind,
  AuditName,
  AuditOutcome,
  AuditPhi,
  AuditRetention,
  SystemName,
} from './audit/event.ts'
export type { AuditMetricName, AuditNews, AuditSample, AuditSnapshot, AuditStage } from './audit/recorder/metrics.ts'
export type { RecorderHealth, SinkHealth } from './audit/recorder/recorder.ts'
export type { AuditLine, AuditSink, RejectedEvent, RetryableError } from './audit/sink.ts'
export { createAuth, type Auth } from './auth.ts'
export type { Reason } from './decision.ts'
export {
  ConfigError,
  CoverageError,
  ExchangeError,
  GuardError,
  KeyError,
  KeyStateError,
  NotReadyError,
  OrganizationMismatch,
  StoreCapabilityError,
  StoreConflict,
  type ConfigErrorCode,
  type ExchangeErrorCode,
  type KeyErrorCode,
  type KeyStateCode,
  type NotReadyCode,
} from './errors.ts'
export {
  exchangeKey,
  type ShortLivedToken,
  type ExchangeKeyOptions,
  type KeyExchange,
} from './exchange-key/exchange-key.ts'
export type { ExchangeToken, TokenExchange } from './issuing/exchange-token.ts'
export type { AuthHealth } from './health.ts'
export type { KeyChanges, RevokeKey, RotateKey, UpdateKey } from './keys/key-change.ts'
export type { CreateKey, ImportKey, KeyAdmin, ListKeys } from './keys/lifecycle.ts'
export type { RotationDue } from './keys/rotation-due.ts'
export type { KeyChange, KeyLookup, KeyRecord, KeyStore, StoreContext } from './keys/store.ts'
export type { KeysHealth } from './keys/verifier.ts'
export type { Clock } from './lib/clock.ts'
export type {
  Algorithm,
  AuditOptions,
  AuthOptions,
  FailureLimiter,
  FailuresOptions,
  IssuingOptions,
  JsonWebKeyLike,
  KeysOptions,
  NamedSecret,
  PrivateSigningKey,
  ServiceOptions,
  SigningKey,
  TelemetryOptions,
  TokensOptions,
  TransportOptions,
} from './options/auth-options.ts'
export { fromEnv, type FromEnvParts } from './options/from-env.ts'
export type {
  AccessTokenPrincipal,
  ApiKeyPrincipal,
  CredentialKind,
  Environment,
  Principal,
  ScopeSet,
} from './principal.ts'
export type { CoverageOptions, GuardedRoute, GuardMode } from './route-coverage.ts'
export type { AuthenticateOptions, GuardOptions, GuardRequest, PhiOption, ScopeList } from './requirement.ts'
export {
  SCOPES,
  type PartnerScope,
  type PartnerScopes,
  type Scope,
  type ScopeInfo,
  type ScopeRegistry,
} from './scopes.ts'
export { memoryKeyStore } from './stores/memory.ts'
export type { KeySetHealth } from './tokens/key-set.ts'
export type { InstrumentOptions, ObservedFigures, TelemetryMeter } from './telemetry.ts'
export type { TokenAdmin } from './issuing/token-admin.ts'
export type { RevokeToken } from './issuing/token-request.ts'
export type { CredentialVerdict as Verdict, VerifyContext } from './verify-credential.ts'
