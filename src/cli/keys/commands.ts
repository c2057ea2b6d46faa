import type { Command } from 'commander'
import {
  createKey,
  importKey,
  revokeKey,
  rotateKey,
  type NewKeyOptions,
  type RevokeOptions,
  type RotateOptions,
} from './actions.ts'
import { listDue, listKeys, type DueOptions, type ListOptions } from './list-actions.ts'
import { collect } from '../read-values.ts'
import type { Shell } from '../shell.ts'

/** `hc-auth keys …` */
export function addKeyCommands(program: Command, shell: Shell): void {
  const keys = program.command('keys').description('make, take in, list and change API keys')
  addNewKeys(keys, shell)
  addLists(keys, shell)
  addChanges(keys, shell)
}

function addNewKeys(keys: Command, shell: Shell): void {
  newKey(keys.command('create').description('make a key; it goes to standard output, this once')).action(
    async (options: NewKeyOptions) => createKey(shell, options),
  )
  newKey(
    keys
      .command('import')
      .description('take in a key issued elsewhere, from standard input or HEALTHCLOUD_API_KEY; prints its id'),
  ).action(async (options: NewKeyOptions) => importKey(shell, options))
}

function newKey(command: Command): Command {
  return json(
    by(
      command
        .requiredOption('--org <id>', 'organization that the key belongs to')
        .requiredOption('--name <text>', 'what it is for, for people')
        .requiredOption('--scope <scope>', 'what it may do; repeated, or separated by commas', collect)
        .option('--allow-scope <scope>', 'declare a scope of your own, beside the nine', collect)
        .option('--cidr <block>', 'addresses that it may be used from; default: any', collect)
        .option('--expires <when>', 'date, instant, or time from now (90d); default: never'),
    ),
  )
}

function addLists(keys: Command, shell: Shell): void {
  json(
    keys
      .command('list')
      .description('list the keys of an organization, in order of id')
      .requiredOption('--org <id>', 'organization')
      .option('--after <id>', 'begin behind this key')
      .option('--limit <count>', 'at most so many; default: all'),
  ).action(async (options: ListOptions) => listKeys(shell, options))
  json(
    keys
      .command('due')
      .description('list the active keys that are due for rotation, the oldest first')
      .option('--days <count>', 'older than so many days', '90')
      .option('--org <id>', 'of this organization; default: of all'),
  ).action(async (options: DueOptions) => listDue(shell, options))
}

function addChanges(keys: Command, shell: Shell): void {
  json(
    by(
      keys
        .command('rotate <id>')
        .description('make a key in the place of this one, which goes on working for a while')
        .option('--grace <time>', 'how long: seconds, or 15m, 24h, 7d; 0 ends it at once', '24h'),
    ),
  ).action(async (id: string, options: RotateOptions) => rotateKey(shell, id, options))
  json(
    by(
      keys
        .command('revoke <id>')
        .description('end a key at once, and the tokens that name it')
        .requiredOption('--reason <text>', 'for people, kept in the record'),
    ),
  ).action(async (id: string, options: RevokeOptions) => revokeKey(shell, id, options))
}

function by(command: Command): Command {
  return command.option('--by <who>', 'who does this, for the audit event; default: HEALTHCLOUD_OPERATOR, or user@host')
}

function json(command: Command): Command {
  return command.option('--json', 'one JSON document on standard output')
}
