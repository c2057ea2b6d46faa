import { ConfigError } from '../errors.ts'
import { keepingCases } from './audit-sink/keeping.ts'
import { repeatingCases } from './audit-sink/repeating.ts'
import { sinkSubject, type OpenedSink, type SinkCase } from './audit-sink/subject.ts'
import type { SuiteCase } from './key-store-suite.ts'
import { refuseProduction } from './refuse-production.ts'

export type { OpenedSink } from './audit-sink/subject.ts'

refuseProduction()

/** The sink that `auditSinkSuite` tries. */
export interface AuditSinkSuite {
  /** What the cases are called after. */
  readonly name: string
  /** A new sink for one case, which closes it. Receivers may be shared: each case has writers of its own. */
  readonly open: () => OpenedSink | Promise<OpenedSink>
  /** Whether what comes twice is kept once, by the sink or by its receiver. */
  readonly dedupes: boolean
}

const CASES: readonly SinkCase[] = [...keepingCases, ...repeatingCases]

/**
 * What every audit sink does, whatever it leads to, as cases for any test runner (node:test, vitest, jest):
 *
 * ```ts
 * const open = () => ({ sink: mySink(), lines: (writer: string) => readMine(writer) })
 * for (const { name, run } of auditSinkSuite({ name: 'mine', open, dedupes: true })) test(name, run)
 * ```
 *
 * The lines are those of a journal: numbered, chained, deeply frozen. Where `lines` is left out, the cases see only that
 * nothing is refused. What a sink must survive besides, a receiver that hangs or an answer that is lost, is for its own
 * tests. Allow 20 seconds a case.
 *
 * @throws ConfigError where an option is missing or of the wrong type.
 */
export function auditSinkSuite(suite: AuditSinkSuite): readonly SuiteCase[] {
  const { name, open, dedupes } = checked(suite)
  return CASES.map(([title, check]) => ({
    name: `the audit sink ${name} ${title}`,
    run: async () => {
      const opened = await open()
      try {
        await check(sinkSubject(opened, dedupes))
      } finally {
        await opened.sink.close?.()
        await opened.close?.()
      }
    },
  }))
}

function checked(suite: AuditSinkSuite): AuditSinkSuite {
  const own = Object.assign(Object.create(null) as AuditSinkSuite, suite)
  const mustBe = (option: keyof AuditSinkSuite, type: 'string' | 'function' | 'boolean', remedy: string) => {
    if (typeof own[option] === type) return
    throw new ConfigError('CONFIG_INVALID', option, { problem: `must be a ${type}.`, remedy })
  }
  mustBe('name', 'string', 'Give the name of the sink.')
  mustBe('open', 'function', 'Give a function that opens a sink.')
  mustBe('dedupes', 'boolean', 'Say whether what comes twice is kept once.')
  return own
}
