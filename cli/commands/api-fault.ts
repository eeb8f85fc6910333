// kubreak api-fault list|remove|clear|enable|disable; `add` is the fault itself (faults/api-fault.ts), which `faults` and `heal` know too.
import type { Command } from 'commander';
import type { ApiFaultRule } from '#lib/api-fault/rule.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { removeRule, rulesOfAll, type RulesOfMaster } from '../api-fault/api-servers.ts';
import { disableApiFaults, enableApiFaults } from '../api-fault/enable.ts';
import { apiFault } from '../faults/api-fault.ts';
import { FaultStore } from '../faults/fault-store.ts';
import type { FaultRecord } from '../faults/fault.ts';
import { healFault } from '../faults/make-and-heal.ts';
import { textTable } from '../text-table.ts';
import { UserError } from '../user-error.ts';

/** After addFaultCommands, which makes the command itself. */
export function addApiFaultCommands(program: Command, accessOf: (command: Command) => Promise<ClusterAccess>): void {
  const parent = program.commands.find((command) => command.name() === apiFault.name);
  if (!parent) throw new Error('the fault kinds have no api-fault');
  parent.command('list').description('the rules, with how often each was applied').option('-o, --output <format>', 'json, or table', 'table').action(async ({ output }: { output: string }, command: Command) => {
    if (output !== 'json' && output !== 'table') throw new UserError(`--output must be json or table, not "${output}"`, 2);
    const cluster = await accessOf(command);
    const rules = await rulesOfAll(cluster);
    process.stdout.write(output === 'json' ? `${JSON.stringify({ servers: rules.map(({ master, rules: states }) => ({ host: master, rules: states ?? null })) }, null, 2)}\n` : tableOf(rules, recordsOf(cluster)));
  });
  parent.command('remove').description('take rules away, as heal does').argument('<ids...>').action(async (ids: string[], _options: unknown, command: Command) => {
    const cluster = await accessOf(command);
    for (const id of ids) {
      const isKnown = recordsOf(cluster).some((record) => record.id === id) || (await rulesOfAll(cluster)).some(({ rules }) => rules?.some(({ rule }) => rule.id === id));
      if (!isKnown) throw new UserError(`there is no rule ${id}`);
      await remove(cluster, id);
      process.stdout.write(`${id} removed\n`);
    }
  });
  parent.command('clear').description('take all rules away').action(async (_options: unknown, command: Command) => {
    const cluster = await accessOf(command);
    const ids = new Set([...recordsOf(cluster).map(({ id }) => id), ...(await rulesOfAll(cluster)).flatMap(({ rules }) => (rules ?? []).map(({ rule }) => rule.id))]);
    for (const id of ids) await remove(cluster, id);
    process.stdout.write(ids.size === 0 ? 'there are no rules\n' : `${ids.size === 1 ? 'one rule' : `${ids.size} rules`} removed\n`);
  });
  parent.command('enable').description('let the API servers take rules: makes a credential for it and starts them anew with the flag that names it').action(async (_options: unknown, command: Command) => {
    process.stdout.write((await enableApiFaults(await accessOf(command))) ? 'the API servers take rules now\n' : 'the API servers take rules already\n');
  });
  parent.command('disable').description('let the API servers take no rules: removes flag and credential and starts them anew').action(async (_options: unknown, command: Command) => {
    const cluster = await accessOf(command);
    for (const { id } of recordsOf(cluster)) await remove(cluster, id);
    process.stdout.write((await disableApiFaults(cluster)) ? 'the API servers take no more rules\n' : 'the API servers take no rules\n');
  });
}

const recordsOf = (cluster: ClusterAccess): FaultRecord[] => new FaultStore(cluster).list().filter(({ kind }) => kind === apiFault.name);

/** Of whoever made it: also those that no fault of kubreak stands for. */
async function remove(cluster: ClusterAccess, id: string): Promise<void> {
  await healFault(cluster, { id });
  await removeRule(cluster, id);
}

export function tableOf(servers: readonly RulesOfMaster[], records: readonly FaultRecord[]): string {
  const isOne = servers.length === 1;
  const rows = servers.flatMap(({ master, rules }) => (rules ?? []).map(({ rule, hits, matched }) =>
    [...(isOne ? [] : [master]), rule.id, String(hits), String(matched), records.find(({ id }) => id === rule.id)?.text ?? describe(rule)]));
  if (rows.length === 0) return 'there are no rules\n';
  return textTable([[...(isOne ? [] : ['SERVER']), 'ID', 'HITS', 'MATCHED', 'RULE'], ...rows]);
}

/** One that came by another way than `api-fault add`. */
const describe = ({ match, rate, effect }: ApiFaultRule): string => JSON.stringify({ match, rate, effect });
