import { randomBase62, type RandomBytes } from '../lib/base62.ts'
import type { Environment } from '../principal.ts'
import { checkOf } from './format.ts'

/** An issued key: 30 random base 62 characters (178 bits) and 6 check characters. */
export function generateKey(environment: Environment, random: RandomBytes): string {
  const text = `hc_${environment}_sk_${randomBase62(30, random)}`
  return `${text}${checkOf(text)}`
}

export function generateKeyId(random: RandomBytes): string {
  return `key_${randomBase62(20, random)}`
}
