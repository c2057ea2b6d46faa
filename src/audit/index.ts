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
} from './event.ts'
export { JournalLineError, readJournal, type JournalRange } from './journal/reader.ts'
export {
  toFhirAuditEvents,
  type FhirAuditAgent,
  type FhirAuditEntity,
  type FhirAuditEvent,
  type FhirCoding,
  type FhirConcept,
  type FhirReference,
} from './fhir.ts'
export {
  verifyJournal,
  type JournalFinding,
  type JournalFindingKind,
  type JournalKey,
  type JournalVerdict,
  type KeptCheckpoint,
  type VerifyOptions,
} from './journal/verify.ts'
