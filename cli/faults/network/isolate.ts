// isolate HOST: cut off from everything: the other hosts, the gateway, the machine.
import { UserError } from '../../user-error.ts';
import type { FaultKind } from '../fault.ts';
import { addressOf, deafTo, deafToAll, wireNameOf } from './host-cuts.ts';
import { putTables, removeTables, tableOf, tablesAreThere, type TablesPlan } from './nft-tables.ts';

export const isolateFault: FaultKind<TablesPlan> = {
  name: 'isolate',
  description: 'cut a host off from all others and from the gateway; its own processes and pods still reach each other',
  arguments: '<host>',
  async plan(cluster, { args }, id) {
    const [host, ...more] = args;
    if (host === undefined || more.length > 0) throw new UserError('isolate takes HOST', 2);
    addressOf(cluster, host);
    const wireName = await wireNameOf(cluster, host);
    const others = cluster.hosts.filter(({ name }) => name !== host);
    return { table: tableOf(id), tables: [{ host, rules: deafToAll() }, ...others.map(({ name }) => ({ host: name, rules: deafTo([wireName]), isAside: true as const }))] };
  },
  apply: putTables,
  undo: removeTables,
  isInForce: tablesAreThere,
};
