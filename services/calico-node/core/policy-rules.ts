// Rules of pods as one nft transaction. Policies apply to what is forwarded, between pods and between pods and other
// hosts, and to what a pod sends to its own host. What the host sends to its pods (probes of the kubelet) passes neither hook.
import type { Allowance, AllowedPeers, AllowedPort, PodRules } from './network-policy.ts';

export const POLICY_TABLE = 'calico-policy';

/** Without rules the table goes: nothing is isolated. */
export function policyRules(rules: readonly PodRules[]): string {
  const start = `add table ip ${POLICY_TABLE}\ndelete table ip ${POLICY_TABLE}\n`;
  if (rules.length === 0) return start;
  const chains: string[] = [];
  const verdicts = { to: [] as string[], from: [] as string[] };
  rules.forEach(({ pod, ingress, egress }, index) => {
    if (ingress) {
      chains.push(chain(`to-${index}`, `${pod.namespace}/${pod.name}`, ingress, 'saddr', pod.address));
      verdicts.to.push(`${pod.address} : jump to-${index}`);
    }
    if (egress) {
      chains.push(chain(`from-${index}`, `${pod.namespace}/${pod.name}`, egress, 'daddr', pod.address));
      verdicts.from.push(`${pod.address} : jump from-${index}`);
    }
  });
  // Egress first: what may not leave need not be asked whether it may enter. A chain that allows returns.
  const fromPods = verdicts.from.length > 0 ? `    ip saddr vmap { ${verdicts.from.join(', ')} }` : '';
  const dispatch = [
    ...(fromPods === '' ? [] : [fromPods]),
    ...(verdicts.to.length > 0 ? [`    ip daddr vmap { ${verdicts.to.join(', ')} }`] : []),
  ];
  return `${start}table ip ${POLICY_TABLE} {
${chains.join('\n')}
  chain forward {
    type filter hook forward priority 0; policy accept;
    ct state established,related accept
${dispatch.join('\n')}
  }
${fromPods === '' ? '' : `  chain input {
    type filter hook input priority 0; policy accept;
    ct state established,related accept
${fromPods}
  }
`}}
`;
}

function chain(name: string, comment: string, allowances: readonly Allowance[], peer: 'saddr' | 'daddr', own: string): string {
  const rules = allowances.flatMap((allowance) => peerMatches(allowance.peers, peer).flatMap((match) => portMatches(allowance.ports).map((port) => `    ${[match, port, 'return'].filter((part) => part !== '').join(' ')}`)));
  // A pod always reaches itself, also by way of a service.
  return [`  chain ${name} {`, `    # ${comment}`, `    ip ${peer} ${own} return`, ...rules, '    drop', '  }'].join('\n');
}

/** One match for each alternative; '' matches everybody, an empty list nobody. */
function peerMatches(peers: AllowedPeers | undefined, side: 'saddr' | 'daddr'): string[] {
  if (!peers) return [''];
  return [
    ...(peers.addresses.length > 0 ? [`ip ${side} { ${peers.addresses.join(', ')} }`] : []),
    ...peers.networks.map(({ cidr, except }) => `ip ${side} ${cidr}${except.length > 0 ? ` ip ${side} != { ${except.join(', ')} }` : ''}`),
  ];
}

function portMatches(ports: readonly AllowedPort[] | undefined): string[] {
  if (!ports) return [''];
  return ports.map(({ protocol, port, endPort }) =>
    port === undefined ? `meta l4proto ${protocol}` : `${protocol} dport ${endPort === undefined || endPort === port ? port : `${port}-${endPort}`}`);
}
