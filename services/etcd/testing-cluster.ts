// Real etcd processes that form a cluster over mutual TLS, on ports of the loopback address.
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { connectToEtcd, type EtcdClient } from '#lib/etcd-api/client.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { freePort } from '#lib/testing/free-ports.ts';
import { spawnEtcd, writeCertificates, type EtcdProcess } from './testing.ts';

export interface TestMember {
  readonly name: string;
  readonly dataDir: string;
  readonly peerUrl: string;
  server: EtcdProcess | undefined;
  client: EtcdClient | undefined;
}

export class TestCluster {
  readonly members: TestMember[] = [];
  private readonly folder: string;
  private readonly flags: readonly string[];

  private constructor(folder: string, flags: readonly string[]) {
    this.folder = folder;
    this.flags = flags;
  }

  /** Members m1, m2, ... that serve. */
  static async start(folder: string, count: number, flags: readonly string[] = []): Promise<TestCluster> {
    await writeCertificates(folder);
    const cluster = new TestCluster(folder, flags);
    for (let at = 0; at < count; at += 1) await cluster.define();
    await Promise.all(cluster.members.map((member) => cluster.run(member)));
    return cluster;
  }

  private file(name: string): string {
    return join(this.folder, name);
  }

  /** A member that is not running yet. */
  async define(name = `m${this.members.length + 1}`): Promise<TestMember> {
    const member: TestMember = { name, dataDir: this.file(name), peerUrl: `https://127.0.0.1:${await freePort()}`, server: undefined, client: undefined };
    this.members.push(member);
    return member;
  }

  /** Starts it with what it has on disk. */
  async run(member: TestMember, more: readonly string[] = []): Promise<void> {
    const { name, dataDir, peerUrl } = member;
    const initial = this.members.map((other) => `${other.name}=${other.peerUrl}`).join();
    member.server = await spawnEtcd([
      `--name=${name}`, `--data-dir=${dataDir}`, `--listen-peer-urls=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`, `--initial-cluster=${initial}`,
      '--client-cert-auth', `--trusted-ca-file=${this.file('ca.crt')}`, `--cert-file=${this.file('server.crt')}`, `--key-file=${this.file('server.key')}`,
      '--peer-client-cert-auth', `--peer-trusted-ca-file=${this.file('ca.crt')}`, `--peer-cert-file=${this.file('server.crt')}`, `--peer-key-file=${this.file('server.key')}`,
      ...this.flags, ...more,
    ], 'https');
    member.client = connectToEtcd({ endpoints: [member.server.urls[0]], caFile: this.file('ca.crt'), certFile: this.file('client.crt'), keyFile: this.file('client.key') });
  }

  clientOf(member: TestMember): EtcdClient {
    if (member.client === undefined) throw new Error(`${member.name} is not running`);
    return member.client;
  }

  async end(member: TestMember, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    member.client?.close();
    await member.server?.end(signal);
    member.server = undefined;
    member.client = undefined;
  }

  get running(): TestMember[] {
    return this.members.filter(({ server }) => server !== undefined);
  }

  /** The member that the others take for the leader, once there is one. */
  async leader(among: readonly TestMember[] = this.running): Promise<TestMember> {
    for (const deadline = Date.now() + 15_000; Date.now() < deadline;) {
      for (const member of among) {
        const status = await this.clientOf(member).status({ timeoutMs: 1_000 }).catch(undefinedWhenRefused);
        if (status !== undefined && status.leader !== 0n && status.leader === status.header?.memberId) return member;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('there is no leader within 15 s');
  }

  async stop(): Promise<void> {
    for (const member of this.running) member.server?.process.kill('SIGCONT');
    await Promise.all(this.running.map((member) => this.end(member, 'SIGKILL')));
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The output of etcdctl; what it says last when it fails. */
  etcdctl(member: TestMember, words: readonly string[]): Promise<string> {
    const flags = [`--endpoints=${member.server?.urls[0]}`, `--cacert=${this.file('ca.crt')}`, `--cert=${this.file('client.crt')}`, `--key=${this.file('client.key')}`, '--command-timeout=10s'];
    return new Promise((resolve) => {
      execFile('etcdctl', [...flags, ...words], { env: { ...process.env, ETCDCTL_API: '3' } }, (error, output, errors) => resolve(error === null ? output.trim() : errors.trim().split('\n').at(-1) ?? ''));
    });
  }
}

export function undefinedWhenRefused(error: unknown): undefined {
  if (!(error instanceof EtcdError)) throw error;
}
