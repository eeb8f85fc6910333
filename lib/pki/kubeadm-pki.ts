// Every key, certificate and kubeconfig that `kubeadm init` and `kubeadm join` leave on the hosts of a cluster.
// Source: kubeadm phases/certs and phases/kubeconfig, Kubernetes 1.36.
import { createCertificateAuthority, createSigningKeyPair, issueCertificate, type CertificateUsage, type KeyAndCertificate } from './certificate.ts';
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
  const signingKeys = createSigningKeyPair(); // slow: runs beside the rest
  const authority = (commonName: string) => createCertificateAuthority({ commonName, nowMs });
  const shared = { ca: authority('kubernetes'), frontProxyCa: authority('front-proxy-ca'), etcdCa: authority('etcd-ca') };
  const endpoint = options.controlPlaneEndpoint ?? `https://${masters[0]?.address ?? ''}:${API_PORT}`;
  const files = new Map<string, Map<string, string>>();
  for (const worker of workers) files.set(worker.name, nodeFiles(worker, shared.ca, endpoint, nowMs));
  for (const master of masters) {
    files.set(master.name, new Map([
      ...nodeFiles(master, shared.ca, endpoint, nowMs),
      ...controlPlaneFiles(master, shared, endpoint, options),
    ]));
  }
  const { privateKeyPem, publicKeyPem } = await signingKeys;
  for (const { name } of masters) files.get(name)?.set(`${PKI}/sa.key`, privateKeyPem).set(`${PKI}/sa.pub`, publicKeyPem);
  return files;
}

function nodeFiles(host: PkiHost, ca: KeyAndCertificate, endpoint: string, nowMs: number): Map<string, string> {
  return new Map([
    [`${PKI}/ca.crt`, ca.certPem],
    ['/etc/kubernetes/kubelet.conf', clientKubeconfig(ca, endpoint, `system:node:${host.name}`, ['system:nodes'], nowMs)],
  ]);
}

interface Authorities {
  readonly ca: KeyAndCertificate;
  readonly frontProxyCa: KeyAndCertificate;
  readonly etcdCa: KeyAndCertificate;
}

function controlPlaneFiles(host: PkiHost, { ca, frontProxyCa, etcdCa }: Authorities, endpoint: string, options: KubeadmPkiOptions): Map<string, string> {
  const { nowMs } = options;
  const files = new Map<string, string>();
  const put = (name: string, { certPem, keyPem }: KeyAndCertificate) => files.set(`${PKI}/${name}.crt`, certPem).set(`${PKI}/${name}.key`, keyPem);
  const client = (authority: KeyAndCertificate, commonName: string, organizations: readonly string[] = []) =>
    issueCertificate({ ca: authority, commonName, organizations, usages: ['client'], nowMs });
  const domain = options.dnsDomain ?? 'cluster.local';
  put('ca', ca);
  put('apiserver', issueCertificate({
    ca, commonName: 'kube-apiserver', usages: ['server'], nowMs,
    dnsNames: [host.name, 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc', `kubernetes.default.svc.${domain}`, ...(options.extraDnsNames ?? [])],
    ipAddresses: [firstServiceAddress(options.serviceCidr), host.address, ...endpointAddress(endpoint), ...(options.extraIpAddresses ?? [])],
  }));
  put('apiserver-kubelet-client', client(ca, 'kube-apiserver-kubelet-client', ['kubeadm:cluster-admins']));
  put('front-proxy-ca', frontProxyCa);
  put('front-proxy-client', client(frontProxyCa, 'front-proxy-client'));
  const etcdMember = (usages: readonly CertificateUsage[]) => issueCertificate({
    ca: etcdCa, commonName: host.name, usages, nowMs,
    dnsNames: [host.name, 'localhost'], ipAddresses: [host.address, '127.0.0.1', '::1'],
  });
  put('etcd/ca', etcdCa);
  put('etcd/server', etcdMember(['server', 'client']));
  put('etcd/peer', etcdMember(['server', 'client']));
  put('etcd/healthcheck-client', client(etcdCa, 'kube-etcd-healthcheck-client'));
  put('apiserver-etcd-client', client(etcdCa, 'kube-apiserver-etcd-client'));
  const local = `https://${host.address}:${API_PORT}`;
  const conf = (name: string, server: string, user: string, organizations: readonly string[] = []) =>
    files.set(`/etc/kubernetes/${name}.conf`, clientKubeconfig(ca, server, user, organizations, nowMs));
  conf('admin', endpoint, 'kubernetes-admin', ['kubeadm:cluster-admins']);
  conf('super-admin', endpoint, 'kubernetes-super-admin', ['system:masters']);
  conf('controller-manager', local, 'system:kube-controller-manager');
  conf('scheduler', local, 'system:kube-scheduler');
  return files;
}

function clientKubeconfig(ca: KeyAndCertificate, server: string, user: string, organizations: readonly string[], nowMs: number): string {
  return kubeconfigText({ server, caPem: ca.certPem, user, ...issueCertificate({ ca, commonName: user, organizations, usages: ['client'], nowMs }) });
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
