export type {
  AuditAction,
  AuditActor,
  AuditEvent,
  AuditHttp,
  AuditKind,
  AuditName,
  AuditOutcome,
  AuditPhi,
} from './event.ts'
export { JournalLineError, readJournal, type JournalRange } from './journal/reader.ts'
