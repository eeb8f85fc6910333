// Real processes of a control plane on this machine's loopback, for tests that need more than one process but no hosts:
// etcd and kube-apiserver from the sources, with the certificates that kubeadm makes.
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectToApiserver, type ApiClient } from '#lib/api-client/client.ts';
import { kubeadmPki } from '#lib/pki/kubeadm-pki.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { freePort, freePorts } from '#lib/testing/free-ports.ts';
import { programOf } from '#lib/testing/program.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const HOST = 'm-k8s';
const ADDRESS = '127.0.0.1';
/** Written into the Service `kubernetes`, where loopback is refused; nothing is sent there. */
const ADVERTISED = '192.168.1.10';
/** Longest wait for a process to answer; generous, since machines that run tests are busy. */
const START_DEADLINE_MS = 60_000;

export interface RunningProcess {
  readonly pid: number;
  /** Ends it without warning. */
  kill(): Promise<void>;
  /** SIGTERM, then waits. Resolves with the exit code. */
  stop(): Promise<number | null>;
  readonly exited: Promise<number | null>;
}

export interface ControlPlane {
  readonly admin: ApiClient;
  readonly folder: string;
  /** Path below the folder of what kubeadm puts at `/etc/kubernetes/...`. */
  readonly path: (kubeadmPath: string) => string;
  startControllerManager(flags?: readonly string[]): Promise<RunningProcess & { readonly port: number }>;
  readonly apiserver: { restart(): Promise<void>; kill(): Promise<void> };
  stop(): Promise<void>;
}

/** Awaits a condition; throws with the last error when it does not come in time. */
export async function eventually<T>(check: () => Promise<T | undefined>, what: string, deadlineMs = 40_000): Promise<T> {
  const end = Date.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value !== undefined) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`${what}: not within ${deadlineMs} ms`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

function launch(service: string, args: readonly string[], logFile: string): RunningProcess {
  const [program = '', ...words] = programOf(new URL(`../../services/${service}/main.ts`, import.meta.url));
  const child: ChildProcess = spawn(program, [...words, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const log = createWriteStream(logFile, { flags: 'a' });
  child.stdout?.pipe(log);
  child.stderr?.pipe(log);
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  return {
    pid: child.pid ?? 0, exited,
    kill: async () => { child.kill('SIGKILL'); await exited; },
    stop: async () => { child.kill('SIGTERM'); return exited; },
  };
}

export async function startControlPlane({ authorizationMode = 'Node,RBAC' }: { readonly authorizationMode?: string } = {}): Promise<ControlPlane> {
  const folder = mkdtempSync(join(tmpdir(), 'kubreak-test-'));
  const [etcdPort = 0, apiPort = 0] = await freePorts(2);
  const pki = await kubeadmPki({
    masters: [{ name: HOST, address: ADDRESS }], workers: [], serviceCidr: '10.96.0.0/12', nowMs: Date.now(), controlPlaneEndpoint: `https://${ADDRESS}:${apiPort}`,
  });
  const path = (kubeadmPath: string): string => join(folder, kubeadmPath);
  for (const [file, contents] of pki.get(HOST) ?? []) {
    mkdirSync(dirname(path(file)), { recursive: true });
    // Static pods find the API server on their own host's 6443; here it has another port.
    writeFileSync(path(file), contents.replaceAll(`https://${ADDRESS}:6443`, `https://${ADDRESS}:${apiPort}`), { mode: 0o600 });
  }
  const certificates = '/etc/kubernetes/pki';
  const etcd = launch('etcd', [
    '--name=default', `--data-dir=${folder}/etcd`, `--listen-client-urls=https://${ADDRESS}:${etcdPort}`, `--advertise-client-urls=https://${ADDRESS}:${etcdPort}`, `--listen-peer-urls=http://${ADDRESS}:0`,
    `--cert-file=${path(`${certificates}/etcd/server.crt`)}`, `--key-file=${path(`${certificates}/etcd/server.key`)}`, '--client-cert-auth=true', `--trusted-ca-file=${path(`${certificates}/etcd/ca.crt`)}`,
  ], join(folder, 'etcd.log'));
  const startApiserver = (): RunningProcess => launch('apiserver', [
    `--advertise-address=${ADVERTISED}`, `--bind-address=${ADDRESS}`, `--secure-port=${apiPort}`, `--authorization-mode=${authorizationMode}`, '--enable-admission-plugins=NodeRestriction', '--allow-privileged=true',
    `--client-ca-file=${path(`${certificates}/ca.crt`)}`, `--tls-cert-file=${path(`${certificates}/apiserver.crt`)}`, `--tls-private-key-file=${path(`${certificates}/apiserver.key`)}`,
    `--etcd-servers=https://${ADDRESS}:${etcdPort}`, `--etcd-cafile=${path(`${certificates}/etcd/ca.crt`)}`,
    `--etcd-certfile=${path(`${certificates}/apiserver-etcd-client.crt`)}`, `--etcd-keyfile=${path(`${certificates}/apiserver-etcd-client.key`)}`,
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local', `--service-account-key-file=${path(`${certificates}/sa.pub`)}`,
    `--service-account-signing-key-file=${path(`${certificates}/sa.key`)}`, '--service-cluster-ip-range=10.96.0.0/12',
  ], join(folder, 'apiserver.log'));
  let apiserver = startApiserver();
  const admin = connectToApiserver(await loadKubeconfig(path('/etc/kubernetes/super-admin.conf')), 'test');
  const isReady = () => eventually(async () => ((await admin.request<string>('GET', '/readyz')) === 'ok' ? true : undefined), 'kube-apiserver is ready', START_DEADLINE_MS);
  const managers = new Set<RunningProcess>();
  const stop = async (): Promise<void> => {
    await admin.close();
    for (const manager of managers) await manager.kill();
    await apiserver.kill();
    await etcd.kill();
    if (process.env['KEEP_LOGS'] === undefined) rmSync(folder, { recursive: true, force: true });
  };
  try {
    await isReady();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    admin, folder, path, stop,
    apiserver: {
      kill: () => apiserver.kill(),
      restart: async () => {
        apiserver = startApiserver();
        await isReady();
      },
    },
    startControllerManager: async (flags = []) => {
      const port = await freePort();
      const manager = launch('controller-manager', [
        `--kubeconfig=${path('/etc/kubernetes/controller-manager.conf')}`, `--bind-address=${ADDRESS}`, `--secure-port=${port}`,
        '--allocate-node-cidrs=true', '--cluster-cidr=172.16.0.0/16', '--service-cluster-ip-range=10.96.0.0/12',
        `--root-ca-file=${path(`${certificates}/ca.crt`)}`, `--service-account-private-key-file=${path(`${certificates}/sa.key`)}`,
        '--use-service-account-credentials=true', ...flags,
      ], join(folder, 'controller-manager.log'));
      managers.add(manager);
      return { ...manager, port };
    },
  };
}
