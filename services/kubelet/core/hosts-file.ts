// The /etc/hosts that the kubelet writes for a pod. Source: pkg/kubelet/kubelet_pods.go.
import type { HostAlias, Pod } from '#lib/kinds/types/core-v1.ts';

const HOSTNAME_LIMIT = 63;

/** Source: hostnameOverride, then hostname, then the name, cut to 63 characters. */
export function hostnameOf(pod: Pod): string {
  if (pod.spec.hostnameOverride !== undefined && pod.spec.hostnameOverride !== '') return pod.spec.hostnameOverride;
  const name = pod.spec.hostname !== undefined && pod.spec.hostname !== '' ? pod.spec.hostname : pod.metadata.name;
  return name.slice(0, HOSTNAME_LIMIT).replace(/[-.]+$/, '');
}
/** `web-0.web.default.svc.cluster.local`; empty without a subdomain. */
export function domainNameOf(pod: Pod, clusterDomain: string): string {
  const { subdomain } = pod.spec;
  return subdomain === undefined || subdomain === '' ? '' : `${hostnameOf(pod)}.${subdomain}.${pod.metadata.namespace ?? 'default'}.svc.${clusterDomain}`;
}

function aliasLines(aliases: readonly HostAlias[] | undefined): string {
  if (!aliases || aliases.length === 0) return '';
  return `\n# Entries added by HostAliases.\n${aliases.map(({ ip, hostnames = [] }) => `${ip}\t${hostnames.join('\t')}\n`).join('')}`;
}

export function podHostsFile(pod: Pod, podIPs: readonly string[], clusterDomain: string): string {
  const domain = domainNameOf(pod, clusterDomain);
  const names = domain === '' ? hostnameOf(pod) : `${domain}\t${hostnameOf(pod)}`;
  return `# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
${podIPs.map((ip) => `${ip}\t${names}\n`).join('')}${aliasLines(pod.spec.hostAliases)}`;
}

export function hostNetworkHostsFile(nodeHostsFile: string, pod: Pod): string {
  return `# Kubernetes-managed hosts file (host network).\n${nodeHostsFile}${aliasLines(pod.spec.hostAliases)}`;
}
