// resolv.conf of a pod.
import type { DNSConfig } from '#lib/cri/messages.ts';

/** The order is that of containerd: search, nameserver, options. */
export function resolvConf({ servers, searches, options }: DNSConfig): string {
  return [
    ...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []),
    ...servers.map((server) => `nameserver ${server}`),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
  ].map((line) => `${line}\n`).join('');
}
