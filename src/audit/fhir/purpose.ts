import type { AuditEvent } from '../event.ts'
import { reasonCoding } from './codes.ts'
import type { FhirConcept } from './resource.ts'
import { shownText } from './shown-text.ts'

/** HL7 v3 PurposeOfUse as in FHIR R4 (4.0.1). */
const NAMES = `
  PurposeOfUse HMARKT HOPERAT CAREMGT DONAT FRAUD GOV HACCRED HCOMPL HDECD HDIRECT HDM HLEGAL HOUTCOMS HPRGRP HQUALIMP
  HSYSADMIN LABELING METAMGT MEMADMIN MILCDM PATADMIN PATSFTY PERFMSR RECORDMGT SYSDEV HTEST TRAIN HPAYMT CLMATTCH COVAUTH
  COVERAGE ELIGDTRM ELIGVER ENROLLM MILDCRG REMITADV HRESCH BIORCH CLINTRCH CLINTRCHNPC CLINTRCHPC PRECLINTRCH DSRCH
  POARCH TRANSRCH PATRQT FAMRQT PWATRNY SUPNWK PUBHLTH DISASTER THREAT TREAT CLINTRL COC ETREAT BTG ERTREAT POPHLTH`

const PURPOSES: ReadonlySet<string> = new Set(NAMES.trim().split(/\s+/))

/** A code where HL7 knows it, else its text: the value set is extensible. */
export function purposeOf({ purpose }: AuditEvent): FhirConcept | null {
  if (purpose !== null && PURPOSES.has(purpose)) return { coding: [reasonCoding(purpose)] }
  const text = shownText(purpose)
  return text === null ? null : { text }
}
