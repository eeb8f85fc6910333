// Which way of finding the other members the flags ask for.
import type { Logger } from 'pino';
import { FlagError } from '#lib/service/flags.ts';
import type { EtcdFlags } from '../../command-line/flags.ts';
import type { BootstrapOptions } from '../bootstrap.ts';

/** undefined: --initial-cluster says it. Throws FlagError for flags that contradict one another. Source: etcd v3.6, embed.Config.Validate. */
export function discoveryOf(flags: EtcdFlags, log: Logger, signal: AbortSignal): BootstrapOptions['discover'] {
  const { discovery, discoveryEndpoints: endpoints, discoveryToken: token, discoverySrv: domain, initialCluster } = flags;
  if ([discovery !== '', initialCluster.length > 0, domain !== '', endpoints.length > 0].filter(Boolean).length > 1) {
    throw new FlagError('multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery", "discovery-endpoints" or "discovery-srv"');
  }
  if ((token !== '') !== (endpoints.length > 0)) throw new FlagError('both --discovery-token and --discovery-endpoints must be set');
  if (discovery !== '') throw new FlagError('discovery services of v2 are not supported, use --discovery-endpoints');
  if (flags.discoveryUser !== '' || flags.discoveryPassword !== '') throw new FlagError('--discovery-user is not supported: this etcd does not log in at the one it is discovered by');
  if (endpoints.length > 0) return byEtcd(flags, log, signal);
  return domain === '' ? undefined : byDns(flags, log);
}

function byEtcd(flags: EtcdFlags, log: Logger, signal: AbortSignal): BootstrapOptions['discover'] {
  const { discoveryEndpoints: endpoints, discoveryToken: token, discoveryRequestTimeoutMs: requestTimeoutMs, discoveryCacert: caFile, discoveryCert: certFile, discoveryKey: keyFile, discoveryInsecureSkipTlsVerify: insecureSkipTlsVerify } = flags;
  return async (self) => {
    const { joinByDiscovery } = await import('./discovery.ts'); // it brings a client of etcd
    log.info('Bootstrapping cluster using v3 discovery.');
    return joinByDiscovery(self, { endpoints, token, requestTimeoutMs, caFile, certFile, keyFile, insecureSkipTlsVerify, log, signal });
  };
}

function byDns({ discoverySrv: domain, discoverySrvName: serviceName, name, initialAdvertisePeerUrls: peerUrls }: EtcdFlags, log: Logger): BootstrapOptions['discover'] {
  return async () => {
    const [{ discoverByDns }, { lookup, resolveSrv }] = await Promise.all([import('./dns-discovery.ts'), import('node:dns/promises')]);
    return discoverByDns({ domain, serviceName, name, peerUrls, log, resolveSrv, addressesOf: async (host) => (await lookup(host, { all: true })).map(({ address }) => address) });
  };
}
