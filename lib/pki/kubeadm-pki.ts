// Every key, certificate and kubeconfig that `kubeadm init` and `kubeadm join` leave on the hosts of a cluster.
// Source: kubeadm phases/certs and phases/kubeconfig, Kubernetes 1.36.
import { createCertificateAuthority, createSigningKeyPair, issueCertificate, selfSignedServerCertificate, type CertificateUsage, type KeyAndCertificate } from './certificate.ts';
import { kubeconfigText } from './kubeconfig.ts';

export interface PkiHost {
  readonly name: string;
  readonly address: string;
}

export interface KubeadmPkiOptions {
  readonly masters: readonly PkiHost[];
  readonly workers: readonly PkiHost[];
  /** E.g. `10.96.0.0/12`: its first address is that of the service `kubernetes`. */
  readonly serviceCidr: string;
  readonly nowMs: number;
  /** Where clients find the API server. Default: https://FIRST_MASTER:6443. */
  readonly controlPlaneEndpoint?: string;
  /** More names for the API server's certificate, e.g. 127.0.0.1 when it is reachable from outside. */
  readonly extraDnsNames?: readonly string[];
  readonly extraIpAddresses?: readonly string[];
  /** Default: cluster.local. */
  readonly dnsDomain?: string;
}

/** Host name to (path to contents). Keys and kubeconfigs are for mode 0600. */
export type PkiFiles = ReadonlyMap<string, ReadonlyMap<string, string>>;

const API_PORT = 6443;
const PKI = '/etc/kubernetes/pki';

export async function kubeadmPki(options: KubeadmPkiOptions): Promise<PkiFiles> {
  const { masters, workers, nowMs } = options;
  const signingKeys = createSigningKeyPair();
  const authority = (commonName: string) => createCertificateAuthority({ commonName, nowMs });
  const shared = { ca: await authority('kubernetes'), frontProxyCa: await authority('front-proxy-ca'), etcdCa: await authority('etcd-ca') };
  const endpoint = options.controlPlaneEndpoint ?? `https://${masters[0]?.address ?? ''}:${API_PORT}`;
  const files = new Map<string, Map<string, string>>();
  for (const worker of workers) files.set(worker.name, await nodeFiles(worker, shared.ca, endpoint, nowMs));
  for (const master of masters) {
    files.set(master.name, new Map([
      // A master's kubelet asks its own API server. Source: kubeadm, ControlPlaneKubeletLocalMode.
      ...await nodeFiles(master, shared.ca, localEndpoint(master), nowMs),
      ...await controlPlaneFiles(master, shared, endpoint, options),
    ]));
  }
  const { privateKeyPem, publicKeyPem } = await signingKeys;
  for (const { name } of masters) files.get(name)?.set(`${PKI}/sa.key`, privateKeyPem).set(`${PKI}/sa.pub`, publicKeyPem);
  return files;
}

const localEndpoint = ({ address }: PkiHost): string => `https://${address}:${API_PORT}`;

/** What `kubeadm join` leaves on a worker. */
export async function nodeFiles(host: PkiHost, ca: KeyAndCertificate, endpoint: string, nowMs: number): Promise<Map<string, string>> {
  // A kubelet would make this for itself at its first start; here the library for it is loaded already.
  const serving = await selfSignedServerCertificate({ commonName: `${host.name}@${Math.floor(nowMs / 1000)}`, dnsNames: [host.name], ipAddresses: [host.address], nowMs });
  return new Map([
    ['/var/lib/kubelet/pki/kubelet.crt', serving.certPem],
    ['/var/lib/kubelet/pki/kubelet.key', serving.keyPem],
    [`${PKI}/ca.crt`, ca.certPem],
    ['/etc/kubernetes/kubelet.conf', await clientKubeconfig(ca, endpoint, `system:node:${host.name}`, ['system:nodes'], nowMs)],
  ]);
}

interface Authorities {
  readonly ca: KeyAndCertificate;
  readonly frontProxyCa: KeyAndCertificate;
  readonly etcdCa: KeyAndCertificate;
}

async function controlPlaneFiles(host: PkiHost, { ca, frontProxyCa, etcdCa }: Authorities, endpoint: string, options: KubeadmPkiOptions): Promise<Map<string, string>> {
  const { nowMs } = options;
  const files = new Map<string, string>();
  const put = (name: string, { certPem, keyPem }: KeyAndCertificate) => files.set(`${PKI}/${name}.crt`, certPem).set(`${PKI}/${name}.key`, keyPem);
  const client = (authority: KeyAndCertificate, commonName: string, organizations: readonly string[] = []) =>
    issueCertificate({ ca: authority, commonName, organizations, usages: ['client'], nowMs });
  const domain = options.dnsDomain ?? 'cluster.local';
  put('ca', ca);
  put('apiserver', await issueCertificate({
    ca, commonName: 'kube-apiserver', usages: ['server'], nowMs,
    dnsNames: [host.name, 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc', `kubernetes.default.svc.${domain}`, ...(options.extraDnsNames ?? [])],
    ipAddresses: [...new Set([firstServiceAddress(options.serviceCidr), host.address, ...endpointAddress(endpoint), ...(options.extraIpAddresses ?? [])])],
  }));
  put('apiserver-kubelet-client', await client(ca, 'kube-apiserver-kubelet-client', ['kubeadm:cluster-admins']));
  put('front-proxy-ca', frontProxyCa);
  put('front-proxy-client', await client(frontProxyCa, 'front-proxy-client'));
  const etcdMember = (usages: readonly CertificateUsage[]) => issueCertificate({
    ca: etcdCa, commonName: host.name, usages, nowMs,
    dnsNames: [host.name, 'localhost'], ipAddresses: [host.address, '127.0.0.1', '::1'],
  });
  put('etcd/ca', etcdCa);
  put('etcd/server', await etcdMember(['server', 'client']));
  put('etcd/peer', await etcdMember(['server', 'client']));
  put('etcd/healthcheck-client', await client(etcdCa, 'kube-etcd-healthcheck-client'));
  put('apiserver-etcd-client', await client(etcdCa, 'kube-apiserver-etcd-client'));
  const local = localEndpoint(host);
  const conf = async (name: string, server: string, user: string, organizations: readonly string[] = []) =>
    files.set(`/etc/kubernetes/${name}.conf`, await clientKubeconfig(ca, server, user, organizations, nowMs));
  await conf('admin', endpoint, 'kubernetes-admin', ['kubeadm:cluster-admins']);
  // kubeadm makes it on the first one only, and says to put it in a safe place.
  if (host.name === options.masters[0]?.name) await conf('super-admin', endpoint, 'kubernetes-super-admin', ['system:masters']);
  await conf('controller-manager', local, 'system:kube-controller-manager');
  await conf('scheduler', local, 'system:kube-scheduler');
  // Not kubeadm's: metrics-server is a service of the host here.
  await conf('metrics-server', endpoint, 'system:metrics-server');
  put('metrics-server', await issueCertificate({
    ca, commonName: 'metrics-server', usages: ['server'], nowMs,
    dnsNames: ['metrics-server', 'metrics-server.kube-system', 'metrics-server.kube-system.svc'], ipAddresses: [host.address],
  }));
  return files;
}

async function clientKubeconfig(ca: KeyAndCertificate, server: string, user: string, organizations: readonly string[], nowMs: number): Promise<string> {
  return kubeconfigText({ server, caPem: ca.certPem, user, ...await issueCertificate({ ca, commonName: user, organizations, usages: ['client'], nowMs }) });
}

/** The service `kubernetes` has the first address of the range: 10.96.0.1. IPv4. */
export function firstServiceAddress(cidr: string): string {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr);
  if (!match) throw new Error(`${cidr} is not an IPv4 range`);
  const [a = 0, b = 0, c = 0, d = 0, bits = 0] = match.slice(1).map(Number);
  const size = 2 ** (32 - bits);
  const address = Math.floor((((a * 256 + b) * 256 + c) * 256 + d) / size) * size + 1;
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}

function endpointAddress(endpoint: string): string[] {
  const { hostname } = new URL(endpoint);
  return /^\d+(\.\d+){3}$/.test(hostname) ? [hostname] : [];
}
