// dns --break: what asks the cluster's name service gets no answer, or a wrong one.
import { CLUSTER_DNS } from '../../cluster-layout.ts';
import { UserError } from '../../user-error.ts';
import { allInForce, type FaultKind } from '../fault.ts';
import type { HelperSpec } from '../helper/spec.ts';
import { endHelpers, helpersAreThere, startHelpers, type HelpersPlan } from './helpers.ts';
import { helperTableOf, putTables, removeTables, tableOf, tablesAreThere, type TablesPlan } from './nft-tables.ts';

type DnsPlan = TablesPlan & HelpersPlan;

const MODES = ['timeout', 'servfail', 'nxdomain'] as const;
type Mode = (typeof MODES)[number];

export const dnsFault: FaultKind<DnsPlan> = {
  name: 'dns',
  description: `break the cluster's name service (${CLUSTER_DNS}) for everybody who asks it`,
  arguments: '',
  options: [
    { flags: '--break', description: 'what else' },
    { flags: '--mode <mode>', description: 'timeout: no answer (default); servfail; nxdomain' },
  ],
  async plan(cluster, { args, options }, id) {
    const mode = (options['mode'] ?? 'timeout') as Mode;
    if (args.length > 0 || options['break'] !== true) throw new UserError('dns takes --break, and --mode timeout, servfail or nxdomain', 2);
    if (!MODES.includes(mode)) throw new UserError(`--mode must be ${MODES.join(', ')}, not "${mode}"`, 2);
    const table = tableOf(id);
    if (mode === 'timeout') return { id, table, tables: cluster.hosts.map(({ name }) => ({ host: name, rules: SILENCE, isAside: true as const })), helpers: [] };
    const up = await Promise.all(cluster.hosts.map(async (host) => ((await cluster.isUp(host.name)) ? [host] : [])));
    return { id, table, tables: [], helpers: up.flat().map(({ name, address }) => ({ host: name, spec: liar(helperTableOf(id), address, mode) })) };
  },
  async apply(cluster, plan) {
    await putTables(cluster, plan);
    await startHelpers(cluster, plan);
  },
  async undo(cluster, plan) {
    await removeTables(cluster, plan);
    await endHelpers(cluster, plan);
  },
  isInForce: async (cluster, plan) => (plan.tables.length > 0 ? tablesAreThere(cluster, plan) : allInForce(await helpersAreThere(cluster, plan))),
};

/** What pods of the host ask, before the service's address becomes that of a pod; of what the host itself asks, the answers. */
export const SILENCE = `  chain questions {
    type filter hook prerouting priority -300; policy accept;
    ip daddr ${CLUSTER_DNS} meta l4proto { tcp, udp } th dport 53 counter drop
  }
  chain answers {
    type filter hook input priority 0; policy accept;
    ct direction reply ct original ip daddr ${CLUSTER_DNS} meta l4proto { tcp, udp } th sport 53 counter drop
  }`;

/** Just before kube-proxy's. Source: netfilter_ipv4.h, NF_IP_PRI_NAT_DST. */
const BEFORE_SERVICES = -110;

const liar = (table: string, address: string, answer: 'servfail' | 'nxdomain'): HelperSpec => ({
  address, table, services: [{ kind: 'dns', answer }],
  rules: [
    `add table inet ${table} { flags owner; }`,
    ...['prerouting', 'output'].flatMap((hook) => [
      `add chain inet ${table} ${hook} { type nat hook ${hook} priority ${BEFORE_SERVICES}; }`,
      `add rule inet ${table} ${hook} ip daddr ${CLUSTER_DNS} meta l4proto { tcp, udp } th dport 53 dnat ip to ${address}:$0`,
    ]),
  ],
});
