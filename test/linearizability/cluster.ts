// Members as real processes, each in a network namespace of its own on a bridge of this one, with certificates for clients and peers;
// and everything that can be done to them. Runs in the namespaces that isolate.ts makes.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { kvService, maintenanceService } from '#lib/etcd-api/services.ts';
import type { StatusResponse } from '#lib/etcd-api/messages.ts';
import { CLOCK_FILE, clockVariables, faketimeLibrary } from '#lib/service/shifted-clock.ts';
import { createCertificateAuthority, issueCertificate, type KeyAndCertificate } from '#lib/pki/certificate.ts';
import { Connection, type ClientFiles } from './connection.ts';

export interface ClusterOptions {
  readonly folder: string;
  readonly members: number;
  /** Places for members that may be added. */
  readonly spares: number;
  /** The program and its first arguments: ours, a changed copy of ours, or a real etcd. */
  readonly program: readonly string[];
  readonly flags: readonly string[];
  /** Has gofail's endpoint. */
  readonly hasFailPoints: boolean;
  /** Terms that hold from the start, as GOFAIL_FAILPOINTS has them. */
  readonly failPoints: string;
}

const NETWORK = '10.99.0';
const HERE = `${NETWORK}.254`;
const FAIL_POINT_PORT = 2382;
const LAST_WORDS_CHARACTERS = 4096;
const SUPERVISOR_DELAY_MS = 500;
const START_DEADLINE_MS = 30_000;
/** The clocks of members are set back, too. */
const CERTIFICATES_BEFORE_MS = 24 * 3_600_000;
const addressOf = (member: number): string => `${NETWORK}.${member + 1}`;
const peerUrlOf = (member: number): string => `https://${addressOf(member)}:2380`;
const namedPeer = (member: number): string => `m${member + 1}=${peerUrlOf(member)}`;

interface Member {
  child: ChildProcess | undefined;
  incarnation: number;
  /** It was ended by us. */
  isStopping: boolean;
  /** Belongs to the cluster, and may be asked and broken. */
  isIn: boolean;
  /** What it is told about the cluster that it belongs to. */
  initialCluster: readonly string[];
}

export class Cluster {
  readonly clientFiles: ClientFiles;
  readonly endpoints: readonly string[];
  /** Members that ended by themselves. */
  readonly unexpected: string[] = [];
  private readonly options: ClusterOptions;
  private readonly members: Member[];
  private readonly broken = new Set<number>();

  private constructor(options: ClusterOptions) {
    this.options = options;
    const file = (name: string): string => join(options.folder, name);
    this.clientFiles = { caFile: file('ca.crt'), certFile: file('client.crt'), keyFile: file('client.key') };
    this.endpoints = Array.from({ length: options.members + options.spares }, (_, member) => `https://${addressOf(member)}:2379`);
    const initialCluster = Array.from({ length: options.members }, (_, member) => namedPeer(member));
    this.members = this.endpoints.map((_, member) => ({ child: undefined, incarnation: 0, isStopping: false, isIn: member < options.members, initialCluster: member < options.members ? initialCluster : [] }));
  }

  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options);
    mkdirSync(options.folder, { recursive: true });
    await writeCertificates(options.folder, cluster.members.length);
    makeNetwork(cluster.members.length);
    for (const member of cluster.active) cluster.boot(member);
    await cluster.healthy();
    return cluster;
  }

  /** Those that belong to the cluster now; not one that is just being exchanged. */
  get active(): number[] {
    return this.members.flatMap(({ isIn }, member) => (isIn ? [member] : []));
  }
  /** The clocks of members can be set. */
  static get hasClocks(): boolean {
    return faketimeLibrary() !== undefined;
  }
  incarnation(member: number): number {
    return (this.members[member] as Member).incarnation;
  }
  isRunning(member: number): boolean {
    return (this.members[member] as Member).child !== undefined;
  }
  logOf(member: number): string {
    return join(this.options.folder, `m${member + 1}.log`);
  }
  dataOf(member: number): string {
    return join(this.options.folder, `m${member + 1}`);
  }
  peerUrlOf(member: number): string {
    return peerUrlOf(member);
  }

  /** A place for a member that may be added; undefined while one is there. */
  get spare(): number | undefined {
    const at = this.options.members;
    return at < this.members.length && this.members[at]?.isIn === false ? at : undefined;
  }

  /** While `done` runs nothing else is to be done to them. */
  async whileBroken(members: readonly number[], done: () => Promise<void>): Promise<void> {
    for (const member of members) this.broken.add(member);
    try {
      await done();
    } finally {
      for (const member of members) this.broken.delete(member);
    }
  }
  isBroken(member: number): boolean {
    return this.broken.has(member);
  }

  /** From now on nobody asks it, and nothing else is done to it. */
  takeOut(at: number): void {
    (this.members[at] as Member).isIn = false;
  }
  /** Without what it had, as a member of those that are there: to be booted. */
  renew(at: number): void {
    const member = this.members[at] as Member;
    rmSync(this.dataOf(at), { recursive: true, force: true });
    member.initialCluster = [...this.active, at].sort((a, b) => a - b).map(namedPeer);
  }
  putIn(at: number): void {
    (this.members[at] as Member).isIn = true;
  }

  /** Seconds that its clock is wrong by from now on. */
  setClock(at: number, seconds: number): void {
    const folder = this.clockOf(at);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, CLOCK_FILE), `${seconds < 0 ? '' : '+'}${seconds}\n`);
  }
  private clockOf(member: number): string {
    return join(this.options.folder, `m${member + 1}.clock`);
  }
  private clockEnvironment(at: number): Readonly<Record<string, string>> {
    const library = faketimeLibrary();
    if (library === undefined) return {};
    if (!existsSync(this.clockOf(at))) this.setClock(at, 0);
    return clockVariables(library, this.clockOf(at));
  }

  boot(at: number, environment: Readonly<Record<string, string>> = {}): void {
    const member = this.members[at] as Member;
    const { folder, program, flags, hasFailPoints, failPoints } = this.options;
    const isNew = member.initialCluster.length === this.options.members && member.incarnation === 0;
    const address = addressOf(at);
    const file = (name: string): string => join(folder, name);
    const child = spawn('ip', ['netns', 'exec', `m${at + 1}`, ...program, `--name=m${at + 1}`, `--data-dir=${this.dataOf(at)}`,
      `--listen-client-urls=https://${address}:2379`, `--advertise-client-urls=https://${address}:2379`, `--listen-peer-urls=https://${address}:2380`,
      `--initial-advertise-peer-urls=https://${address}:2380`, `--initial-cluster=${member.initialCluster.join()}`, `--initial-cluster-state=${isNew ? 'new' : 'existing'}`,
      '--client-cert-auth', `--trusted-ca-file=${file('ca.crt')}`, `--cert-file=${file(`m${at + 1}.crt`)}`, `--key-file=${file(`m${at + 1}.key`)}`,
      '--peer-client-cert-auth', `--peer-trusted-ca-file=${file('ca.crt')}`, `--peer-cert-file=${file(`m${at + 1}.crt`)}`, `--peer-key-file=${file(`m${at + 1}.key`)}`, ...flags],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...this.clockEnvironment(at), ...(hasFailPoints ? { GOFAIL_HTTP: `${address}:${FAIL_POINT_PORT}`, GOFAIL_FAILPOINTS: failPoints } : {}), ...environment } });
    const log = this.logOf(at);
    let lastWords = '';
    for (const output of [child.stdout, child.stderr]) output?.on('data', (text: Buffer) => appendFileSync(log, text));
    child.stderr?.on('data', (text: Buffer) => { lastWords = (lastWords + text.toString()).slice(-LAST_WORDS_CHARACTERS); });
    member.child = child;
    member.incarnation += 1;
    member.isStopping = false;
    child.once('exit', (code, signal) => {
      if (member.child !== child) return;
      member.child = undefined;
      // A new member asks others who belongs to the cluster, and ends when one tells that has not heard of it yet; so does a real one. Its supervisor starts it again.
      if (!member.isStopping && lastWords.includes('member count is unequal')) {
        setTimeout(() => {
          if (member.child === undefined && !member.isStopping) this.boot(at, environment);
        }, SUPERVISOR_DELAY_MS);
      } else if (!member.isStopping) this.unexpected.push(`m${at + 1} ended by itself (${signal ?? code}); see ${log}`);
    });
  }

  /** Resolves when it has ended. */
  async end(at: number, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const member = this.members[at] as Member;
    const { child } = member;
    if (child === undefined) return;
    member.isStopping = true;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    if (signal === 'SIGTERM') child.kill('SIGCONT'); // one that is paused could not hear it
    await ended;
  }

  /** It is about to be ended by a fail point. */
  expectEnd(at: number): Promise<void> {
    const member = this.members[at] as Member;
    member.isStopping = true;
    return new Promise((resolve) => (member.child === undefined ? resolve() : member.child.once('exit', () => resolve())));
  }

  signal(at: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.members[at]?.child?.kill(signal);
  }

  /** Packets that do not arrive at `to` from `from`; 'clients': from here. */
  cut(links: readonly { readonly from: number | 'clients'; readonly to: number }[]): void {
    for (const { from, to } of links) nft(to, `add rule inet faults input ip saddr ${from === 'clients' ? HERE : addressOf(from)} drop`);
  }
  mend(): void {
    this.members.forEach((_, member) => nft(member, 'flush chain inet faults input'));
  }

  /** As gofail's endpoint takes it: PUT /name with the terms as body. */
  async setFailPoint(at: number, name: string, terms: string): Promise<void> {
    for (const endMs = Date.now() + START_DEADLINE_MS; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
      try {
        const response = await fetch(`http://${addressOf(at)}:${FAIL_POINT_PORT}/${name}`, { method: 'PUT', body: terms, signal: AbortSignal.timeout(3_000) });
        if (response.ok) return;
        throw new Error(`fail point ${name}: ${response.status} ${await response.text()}`);
      } catch (error) {
        // It may have been started a moment ago, by the fault before, or have no processor time.
        const mayPass = error instanceof TypeError || (error instanceof Error && error.name === 'TimeoutError');
        if (!mayPass || Date.now() > endMs) throw error;
      }
    }
  }

  /** Resolves when every member serves linearizable reads, with a leader. */
  async healthy(deadlineMs = START_DEADLINE_MS): Promise<void> {
    const endMs = Date.now() + deadlineMs;
    for (const at of this.active) {
      const connection = new Connection(this.endpoints[at] as string, this.clientFiles);
      for (let last = ''; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
        if (Date.now() > endMs) throw new Error(`m${at + 1} does not serve: ${last}; see ${this.logOf(at)}`);
        try {
          const { leader } = await connection.call<object, StatusResponse>(maintenanceService.Status, {}, 1_000);
          if (leader === 0n) continue;
          await connection.call(kvService.Range, { key: 'health' }, 2_000);
          break;
        } catch (error) {
          last = error instanceof Error ? error.message : String(error);
        }
      }
      connection.close();
    }
  }

  /** The member that is the leader now, as the first that answers sees it. */
  async leader(): Promise<number | undefined> {
    const statuses = await Promise.all(this.endpoints.map(async (endpoint) => {
      const connection = new Connection(endpoint, this.clientFiles);
      try {
        return await connection.call<object, StatusResponse>(maintenanceService.Status, {}, 500);
      } catch {
        return undefined; // whoever is broken at the moment has no say
      } finally {
        connection.close();
      }
    }));
    return this.active.find((at) => statuses[at] !== undefined && statuses[at].leader === statuses[at].header?.memberId);
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((_, member) => this.end(member, 'SIGKILL')));
  }
  remove(): void {
    if (existsSync(this.options.folder)) rmSync(this.options.folder, { recursive: true, force: true });
  }
}

const run = (program: string, ...args: string[]): void => void execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });

function makeNetwork(members: number): void {
  run('ip', 'link', 'set', 'lo', 'up');
  run('ip', 'link', 'add', 'members', 'type', 'bridge');
  run('ip', 'addr', 'add', `${HERE}/24`, 'dev', 'members');
  run('ip', 'link', 'set', 'members', 'up');
  for (let member = 0; member < members; member += 1) {
    const name = `m${member + 1}`;
    run('ip', 'netns', 'add', name);
    run('ip', 'link', 'add', `${name}-port`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    run('ip', 'link', 'set', `${name}-port`, 'master', 'members', 'up');
    run('ip', '-n', name, 'addr', 'add', `${addressOf(member)}/24`, 'dev', 'eth0');
    run('ip', '-n', name, 'link', 'set', 'lo', 'up');
    run('ip', '-n', name, 'link', 'set', 'eth0', 'up');
    nft(member, 'add table inet faults');
    nft(member, 'add chain inet faults input { type filter hook input priority 0; policy accept; }');
  }
}

const nft = (member: number, command: string): void => run('ip', 'netns', 'exec', `m${member + 1}`, 'nft', command);

async function writeCertificates(folder: string, members: number): Promise<void> {
  const nowMs = Date.now() - CERTIFICATES_BEFORE_MS;
  const write = (name: string, { certPem, keyPem }: KeyAndCertificate): void => {
    writeFileSync(join(folder, `${name}.crt`), certPem);
    writeFileSync(join(folder, `${name}.key`), keyPem);
  };
  const ca = await createCertificateAuthority({ commonName: 'etcd-ca', nowMs });
  write('ca', ca);
  write('client', await issueCertificate({ ca, commonName: 'client', usages: ['client'], nowMs }));
  for (let member = 0; member < members; member += 1) {
    write(`m${member + 1}`, await issueCertificate({ ca, commonName: `m${member + 1}`, dnsNames: ['localhost'], ipAddresses: [addressOf(member), '127.0.0.1'], usages: ['server', 'client'], nowMs }));
  }
}
