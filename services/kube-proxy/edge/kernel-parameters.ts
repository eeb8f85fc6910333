// Connection tracking limits of the host. Source: kubernetes cmd/kube-proxy/app/server_linux.go.
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import type { ProxyConfiguration } from '../core/configuration.ts';

/** What a kernel refuses (a namespace may not set the machine's limits) is said and left as it is. */
export async function setConntrackLimits({ maxPerCore, min, tcpEstablishedSeconds, tcpCloseWaitSeconds }: ProxyConfiguration['conntrack'], log: Logger): Promise<void> {
  const wanted = { nf_conntrack_max: Math.max(min, maxPerCore * availableParallelism()), nf_conntrack_tcp_timeout_established: tcpEstablishedSeconds, nf_conntrack_tcp_timeout_close_wait: tcpCloseWaitSeconds };
  for (const [name, value] of Object.entries(wanted)) {
    if (value === 0) continue;
    const file = `/proc/sys/net/netfilter/${name}`;
    try {
      const current = Number(await readFile(file, 'utf8'));
      const isEnough = name === 'nf_conntrack_max' ? current >= value : current === value;
      if (!isEnough) await writeFile(file, String(value));
    } catch (error) {
      log.info({ parameter: name, value, reason: (error as NodeJS.ErrnoException).code }, 'kernel parameter left as it is');
    }
  }
}
