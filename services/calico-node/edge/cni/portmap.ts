// `portmap` leads ports of the host to a pod: nft rules that carry the sandbox's id as their comment.
import { runCommand } from '#lib/service/run-command.ts';
import type { CniCall, CniResult } from '../../core/cni-call.ts';
import type { CniProgram } from './program.ts';

const TABLE = 'cni-hostport';
/** nft takes comments of up to 128 bytes; an id has 64. */
const COMMENT_LIMIT = 128;

export const portmap: CniProgram = {
  async add(call): Promise<CniResult> {
    const rules = rulesOf(call);
    if (rules.length > 0) {
      // The chains' own rules are put anew in the same transaction: nobody sees the table without them.
      await runCommand('nft', ['-f', '-'], `table ip ${TABLE} {
chain ports { }
chain prerouting { type nat hook prerouting priority -101; policy accept; }
chain output { type nat hook output priority -101; policy accept; }
}
flush chain ip ${TABLE} prerouting
flush chain ip ${TABLE} output
add rule ip ${TABLE} prerouting jump ports
add rule ip ${TABLE} output jump ports
${await removals(call)}${rules.map((rule) => `add rule ip ${TABLE} ports ${rule}\n`).join('')}`);
    }
    return call.config.prevResult ?? {};
  },
  async del(call) {
    const lines = await removals(call);
    if (lines !== '') await runCommand('nft', ['-f', '-'], lines);
  },
  async check(call) {
    const present = (await handles(call)).length;
    const wanted = rulesOf(call).length;
    if (present !== wanted) throw new Error(`${wanted} ports of the host should lead to the pod, ${present} do`);
  },
};

function rulesOf({ config, containerId }: CniCall): string[] {
  const address = config.prevResult?.ips?.[0]?.address.split('/')[0];
  const mappings = (config.runtimeConfig?.portMappings ?? []).filter(({ hostPort }) => hostPort > 0);
  if (mappings.length > 0 && address === undefined) throw new Error('cannot lead ports to a pod without an address: there is no prevResult');
  return mappings.map(({ hostPort, containerPort, protocol, hostIP = '' }) => {
    const to = `${protocol.toLowerCase()} dport ${hostPort} dnat to ${address ?? ''}:${containerPort} comment "${commentOf(containerId)}"`;
    return hostIP === '' || hostIP === '0.0.0.0' ? `fib daddr type local ${to}` : `ip daddr ${hostIP} ${to}`;
  });
}

const commentOf = (containerId: string): string => containerId.slice(0, COMMENT_LIMIT);

async function handles({ containerId }: CniCall): Promise<string[]> {
  if (!(await runCommand('nft', ['list', 'tables'])).split('\n').includes(`table ip ${TABLE}`)) return [];
  const listing = (await runCommand('nft', ['-a', 'list', 'chain', 'ip', TABLE, 'ports'])).split('\n');
  return listing.filter((line) => line.includes(`comment "${commentOf(containerId)}"`)).flatMap((line) => /# handle (\d+)/.exec(line)?.[1] ?? []);
}

const removals = async (call: CniCall): Promise<string> => (await handles(call)).map((handle) => `delete rule ip ${TABLE} ports handle ${handle}\n`).join('');
