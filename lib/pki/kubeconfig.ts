// Kubeconfig files and the in-cluster configuration: how a process finds and trusts the API server.
// Source: client-go tools/clientcmd and rest.InClusterConfig.
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

export interface KubeconfigOptions {
  readonly server: string;
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
  readonly user: string;
  /** Default: kubernetes. */
  readonly cluster?: string;
  /** Default: USER@CLUSTER. */
  readonly context?: string;
}

/** How to reach an API server, with files already read. */
export interface ClusterAccess {
  readonly server: string;
  readonly caPem?: string;
  readonly certPem?: string;
  readonly keyPem?: string;
  readonly token?: string;
  /** Read again from time to time: the kubelet renews it. */
  readonly tokenFile?: string;
  readonly tlsServerName?: string;
  readonly insecureSkipTlsVerify?: boolean;
  readonly namespace?: string;
}

export function kubeconfigText(options: KubeconfigOptions): string {
  const cluster = options.cluster ?? 'kubernetes';
  const context = options.context ?? `${options.user}@${cluster}`;
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: ${base64(options.caPem)}
    server: ${options.server}
  name: ${cluster}
contexts:
- context:
    cluster: ${cluster}
    user: ${options.user}
  name: ${context}
current-context: ${context}
kind: Config
preferences: {}
users:
- name: ${options.user}
  user:
    client-certificate-data: ${base64(options.certPem)}
    client-key-data: ${base64(options.keyPem)}
`;
}

interface Named<K extends string, V> {
  readonly entries: readonly ({ readonly name?: string } & { readonly [P in K]?: V })[] | undefined;
}
interface ClusterEntry {
  readonly server?: string;
  readonly 'certificate-authority'?: string;
  readonly 'certificate-authority-data'?: string;
  readonly 'tls-server-name'?: string;
  readonly 'insecure-skip-tls-verify'?: boolean;
}
interface UserEntry {
  readonly 'client-certificate'?: string;
  readonly 'client-certificate-data'?: string;
  readonly 'client-key'?: string;
  readonly 'client-key-data'?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly exec?: unknown;
}
interface ContextEntry {
  readonly cluster?: string;
  readonly user?: string;
  readonly namespace?: string;
}
interface Kubeconfig {
  readonly clusters?: Named<'cluster', ClusterEntry>['entries'];
  readonly users?: Named<'user', UserEntry>['entries'];
  readonly contexts?: Named<'context', ContextEntry>['entries'];
  readonly 'current-context'?: string;
}

/** Reads the current context of a kubeconfig and the files it names (relative to its own folder). */
export async function loadKubeconfig(path: string): Promise<ClusterAccess> {
  const text = await readFile(path, 'utf8');
  // Loaded here: a process that runs in a pod never needs it.
  const { parse } = await import('yaml');
  const config = parse(text) as Kubeconfig | null;
  const current = config?.['current-context'] ?? '';
  const context = config?.contexts?.find(({ name }) => name === current)?.context;
  if (!context) throw new Error(`cannot use kubeconfig ${path}: context "${current}" does not exist`);
  const cluster = config?.clusters?.find(({ name }) => name === context.cluster)?.cluster;
  if (!cluster?.server) throw new Error(`cannot use kubeconfig ${path}: cluster "${context.cluster ?? ''}" has no server`);
  const user = config?.users?.find(({ name }) => name === context.user)?.user ?? {};
  if (user.exec !== undefined) throw new Error(`cannot use kubeconfig ${path}: credential plugins (exec) are not supported`);
  const contentsOf = async (data: string | undefined, file: string | undefined): Promise<string | undefined> => {
    if (data) return Buffer.from(data, 'base64').toString('utf8');
    return file ? await readFile(resolve(dirname(path), file), 'utf8') : undefined;
  };
  return withoutUndefined({
    server: cluster.server,
    caPem: await contentsOf(cluster['certificate-authority-data'], cluster['certificate-authority']),
    certPem: await contentsOf(user['client-certificate-data'], user['client-certificate']),
    keyPem: await contentsOf(user['client-key-data'], user['client-key']),
    token: user.token,
    tokenFile: user.tokenFile === undefined ? undefined : resolve(dirname(path), user.tokenFile),
    tlsServerName: cluster['tls-server-name'],
    insecureSkipTlsVerify: cluster['insecure-skip-tls-verify'],
    namespace: context.namespace,
  });
}

export const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

/** What a pod is given to reach the API server. `environment`: the process's variables. Throws when not in a pod. */
export async function loadInClusterConfig(environment: Readonly<Record<string, string | undefined>>, folder: string = SERVICE_ACCOUNT_FOLDER): Promise<ClusterAccess> {
  const host = environment['KUBERNETES_SERVICE_HOST'];
  const port = environment['KUBERNETES_SERVICE_PORT'];
  if (!host || !port) {
    throw new Error('unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined');
  }
  const tokenFile = `${folder}/token`;
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    caPem: await readFile(`${folder}/ca.crt`, 'utf8'),
    token: (await readFile(tokenFile, 'utf8')).trim(),
    tokenFile,
    namespace: await readFile(`${folder}/namespace`, 'utf8').catch(() => 'default'),
  };
}

function withoutUndefined(access: { [K in keyof ClusterAccess]: ClusterAccess[K] | undefined }): ClusterAccess {
  return Object.fromEntries(Object.entries(access).filter(([, value]) => value !== undefined)) as unknown as ClusterAccess;
}
