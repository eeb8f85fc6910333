// A real etcd process for tests, with certificates and data in a temporary folder.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client, credentials } from '@grpc/grpc-js';
import { maintenanceService } from '#lib/etcd-api/services.ts';
import { createCertificateAuthority, issueCertificate, type KeyAndCertificate } from '#lib/pki/certificate.ts';
import { programOf } from '#lib/testing/program.ts';

export interface EtcdProcess {
  /** What it listens on, the client URL first and then the metrics URL. */
  readonly urls: readonly [string, string];
  readonly process: ChildProcess;
  /** Resolves with the exit code. */
  readonly end: (signal: 'SIGTERM' | 'SIGKILL') => Promise<number | null>;
}

/** Rejects with its output when it ends before it serves. */
export async function spawnEtcd(flags: readonly string[], scheme: 'http' | 'https' = 'http', environment: NodeJS.ProcessEnv = {}): Promise<EtcdProcess> {
  const [program = '', ...words] = programOf(new URL('./main.ts', import.meta.url));
  const isGiven = (name: string): boolean => flags.some((flag) => flag.startsWith(`${name}=`));
  const anyPeerPort = isGiven('--listen-peer-urls') ? [] : ['--listen-peer-urls=http://127.0.0.1:0'];
  const child = spawn(program, [...words, `--listen-client-urls=${scheme}://127.0.0.1:0`, ...anyPeerPort, '--listen-metrics-urls=http://127.0.0.1:0', '--log-outputs=stdout', ...flags], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...environment } });
  const exited = once(child, 'exit');
  let errors = '';
  child.stderr.on('data', (text) => { errors += String(text); });
  const urls = await new Promise<string[]>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const entry = JSON.parse(line) as { msg: string; urls?: string[] };
      if (entry.msg === 'ready to serve client requests') resolve(entry.urls ?? []);
    });
    exited.then(() => reject(new Error(errors || 'etcd ended without a word')), reject);
  });
  const [client = '', metrics = ''] = urls;
  return {
    urls: [client, metrics], process: child,
    end: async (signal) => {
      child.kill(signal);
      const [code] = await exited as [number | null];
      return code;
    },
  };
}

export interface Outcome { readonly code: number; readonly output: string; readonly errors: string }

/** Resolves with what etcdctl printed, also when it failed. Rejects when there is none. */
export function runEtcdctl(words: readonly string[], input = ''): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = execFile('etcdctl', words, { env: { ...process.env, ETCDCTL_API: '3' } }, (error, output, errors) => {
      if (error?.code === 'ENOENT') reject(new Error('etcdctl is missing: install it (Debian: apt-get install etcd-client)'));
      else resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, output: output.trim(), errors: errors.trim() });
    });
    child.stdin?.on('error', () => undefined).end(input); // it may end before it has read
  });
}

export function temporaryFolder(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'etcd-test-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Writes ca.crt, server.crt and .key, client.crt and .key, and a stranger's certificate of another authority. */
export async function writeCertificates(folder: string): Promise<void> {
  const nowMs = Date.now();
  const write = (name: string, { certPem, keyPem }: KeyAndCertificate): void => {
    writeFileSync(join(folder, `${name}.crt`), certPem);
    writeFileSync(join(folder, `${name}.key`), keyPem);
  };
  const ca = await createCertificateAuthority({ commonName: 'etcd-ca', nowMs });
  const otherCa = await createCertificateAuthority({ commonName: 'other-ca', nowMs });
  write('ca', ca);
  write('server', await issueCertificate({ ca, commonName: 'm-k8s', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], usages: ['server', 'client'], nowMs }));
  write('client', await issueCertificate({ ca, commonName: 'kube-etcd-healthcheck-client', usages: ['client'], nowMs }));
  write('stranger', await issueCertificate({ ca: otherCa, commonName: 'stranger', usages: ['client'], nowMs }));
}

/** Waits until the database of the member at this URL holds all that is applied, and nothing that was compacted. */
export async function settled(url: string): Promise<void> {
  const client = new Client(url.replace('http://', ''), credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = maintenanceService.HashKV;
  await new Promise<void>((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { revision: 0 }, (error) => (error === null ? resolve() : reject(error)));
  });
  client.close();
}

/** Resolves when `holds` does; rejects after ten seconds, or as many as are given. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, seconds = 10): Promise<void> {
  for (const deadline = Date.now() + seconds * 1000; !(await holds());) {
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
