import { ConfigError } from '../errors.ts'

/** Throws where `NODE_ENV` is `production`: what stands in for real parts must never guard patients' data. */
export function refuseProduction(env: NodeJS.ProcessEnv = process.env): void {
  if (!Object.hasOwn(env, 'NODE_ENV') || env['NODE_ENV'] !== 'production') return
  throw new ConfigError('CONFIG_UNSUPPORTED', 'NODE_ENV', {
    problem: 'is production, where @healthcloud/auth/testing does not load.',
    remedy: 'Import it from tests alone, and run them with another NODE_ENV.',
  })
}
