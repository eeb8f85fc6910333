// A cluster that keeps its state in an etcd that is already there, as kubeadm's external etcd: no static pod of etcd, and the API
// server is given its addresses. The hosts' network ends at the machine, so the lab takes connections to those addresses at the
// gateway (nft redirects them, the addresses stay as the certificates have them) and this side makes them.
import { readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { parseIpv4, parseIpv4Cidr } from '#lib/machinery/ipv4.ts';
import { HOST_NETWORK, POD_CIDR, SERVICE_CIDR } from '../cluster-layout.ts';
import { UserError } from '../user-error.ts';
import type { ClusterFolder, ProvisionedFacts } from './cluster-folder.ts';
import { joinSockets } from '#lib/balancer/join-sockets.ts';
import type { EtcdRelay } from './lab/lab-config.ts';

export interface ExternalEtcdOptions {
  readonly etcdServers?: string;
  readonly etcdCafile?: string;
  readonly etcdCertfile?: string;
  readonly etcdKeyfile?: string;
}

export interface ExternalEtcd {
  readonly servers: readonly string[];
  /** By their paths on the master: those that kubeadm's documentation gives them. */
  readonly files: ReadonlyMap<string, string>;
}

const PKI = '/etc/kubernetes/pki';
export const EXTERNAL_ETCD_FILES = { ca: `${PKI}/etcd/ca.crt`, cert: `${PKI}/apiserver-etcd-client.crt`, key: `${PKI}/apiserver-etcd-client.key` } as const;
/** Longest path of a unix socket. */
const MAX_SOCKET_PATH = 107;

/** Throws UserError when the API server could not reach it. */
export function externalEtcdOf({ etcdServers, etcdCafile, etcdCertfile, etcdKeyfile }: ExternalEtcdOptions): ExternalEtcd | undefined {
  const given = [etcdCafile, etcdCertfile, etcdKeyfile].filter((file) => file !== undefined);
  if (etcdServers === undefined) {
    if (given.length > 0) throw new UserError('--etcd-cafile, --etcd-certfile and --etcd-keyfile go with --etcd-servers', 2);
    return undefined;
  }
  const servers = etcdServers.split(',');
  const isSecure = servers.map((server) => endpointOf(server).isSecure);
  if (isSecure.includes(true) && given.length < 3) throw new UserError('an etcd that is reached over https needs --etcd-cafile, --etcd-certfile and --etcd-keyfile', 2);
  if (!isSecure.includes(true)) return { servers, files: new Map() };
  const read = (option: string, path = ''): string => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw new UserError(`cannot read ${option}: ${error instanceof Error ? error.message : String(error)}`, 2);
    }
  };
  return {
    servers,
    files: new Map([[EXTERNAL_ETCD_FILES.ca, read('--etcd-cafile', etcdCafile)], [EXTERNAL_ETCD_FILES.cert, read('--etcd-certfile', etcdCertfile)], [EXTERNAL_ETCD_FILES.key, read('--etcd-keyfile', etcdKeyfile)]]),
  };
}

interface Endpoint { readonly address: string; readonly port: number; readonly isSecure: boolean }

function endpointOf(server: string): Endpoint {
  const match = /^(https?):\/\/([\d.]+):(\d{1,5})$/.exec(server);
  const ip = parseIpv4(match?.[2] ?? '');
  if (match === null || ip === undefined) throw new UserError(`--etcd-servers: "${server}" is not of the form https://ADDRESS:PORT with an IPv4 address, as its certificate has it`, 2);
  const [, scheme, address = '', port] = match;
  const taken = ['127.0.0.0/8', HOST_NETWORK, POD_CIDR, SERVICE_CIDR].find((network) => {
    const { base, size } = parseIpv4Cidr(network) ?? { base: 0, size: 0 };
    return ip >= base && ip < base + size;
  });
  if (taken !== undefined) throw new UserError(`--etcd-servers: ${address} is in ${taken}, which means something else on the cluster's hosts; let etcd listen on another address of the machine`, 2);
  return { address, port: Number(port), isSecure: scheme === 'https' };
}

/** What the lab has to take connections for. */
export function etcdRelays(folder: ClusterFolder, { externalEtcd = [] }: ProvisionedFacts): EtcdRelay[] {
  return externalEtcd.map((server, at) => {
    const { address, port } = endpointOf(server);
    const socket = `${folder.path}/etcd-${at}.sock`;
    if (socket.length > MAX_SOCKET_PATH) throw new UserError(`the path ${folder.path} is too long for --etcd-servers; choose a shorter one with --dir`);
    return { address, port, socket };
  });
}

/** Makes the connections that the lab asks for, on the machine's own network. */
export async function relayToEtcd(relays: readonly EtcdRelay[]): Promise<Server[]> {
  return Promise.all(relays.map(async ({ address, port, socket }) => {
    rmSync(socket, { force: true });
    const server = createServer({ allowHalfOpen: true }, (inside) => joinSockets(inside, connect({ host: address, port, allowHalfOpen: true, noDelay: true })));
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(socket, resolve));
    return server;
  }));
}
