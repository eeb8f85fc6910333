// Where a member comes from: its own data, a new cluster that all its members start alike, or a cluster that it was added to.
// Source: etcd v3.6, server/etcdserver/bootstrap.go and cluster_util.go.
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { confChange, snapshot as snapshotMessage, type ConfState, type Entry } from '#lib/etcd-api/raft-messages.ts';
import { bytes, message, uint32 } from '#lib/etcd-api/wire.ts';
import { decodeMember, encodeMember, type ClusterMember } from '../core/cluster-members.ts';
import { crc32c } from '../core/crc32c.ts';
import { putRecord } from '../core/bucket-record.ts';
import { leaveAlone } from '../core/lone-member.ts';
import { mayJoin } from '../core/versions.ts';
import { askForVersions } from './cluster-version.ts';
import type { Database, FormerIdentity } from './database.ts';
import { clusterIdOf, memberIdOf } from './membership.ts';
import { PeerHttpClient, under, type PeerTls } from './peers/http-client.ts';
import { hexId, parseId } from './peers/identity.ts';
import { readSnapshotFile } from './snapshot-source.ts';
import { ETCD_VERSION } from './version.ts';
import { Wal, type WalContents, type WalOptions, type WalStart } from './wal.ts';

/** As --name, --initial-cluster, --initial-cluster-token and --initial-advertise-peer-urls say it. */
export interface InitialClusterOptions {
  readonly name: string;
  readonly initialCluster: readonly string[];
  readonly initialClusterToken: string;
  readonly peerUrls: readonly string[];
}

export interface BootstrapOptions extends InitialClusterOptions {
  readonly dataDir: string;
  /** Empty: within the data directory. */
  readonly walDir: string;
  readonly initialClusterState: string;
  /** Finds the members of a new cluster, in place of `initialCluster`. */
  readonly discover?: ((self: { readonly id: bigint; readonly peers: readonly string[] }) => Promise<readonly string[]>) | undefined;
  /** Data of a member of several are those of a cluster of one from now on. */
  readonly forceNewCluster: boolean;
  readonly clientUrls: readonly string[];
  readonly peerTls: PeerTls | undefined;
  readonly database: Database;
  readonly log: Logger;
  readonly walOptions: WalOptions;
}

export interface Bootstrapped {
  readonly wal: Wal;
  readonly contents: WalContents;
  /** It was a member before. */
  readonly isRestarted: boolean;
  /** Of a cluster that is joined. */
  readonly remotes: readonly { readonly id: bigint; readonly urls: readonly string[] }[];
}

export class BootstrapError extends Error {
  override readonly name = 'BootstrapError';
}

interface NamedUrls { readonly name: string; readonly urls: readonly string[] }
interface RemoteCluster { readonly clusterId: bigint; readonly members: readonly ClusterMember[] }

/** Source: etcd, BootstrapTimeoutEffective. */
const ASK_TIMEOUT_MS = 1_000;

export async function bootstrap(options: BootstrapOptions): Promise<Bootstrapped> {
  const folder = options.walDir || join(options.dataDir, 'member', 'wal');
  if (await Wal.exists(folder)) {
    const opened = await Wal.open(folder, options.walOptions);
    const contents = await takeOverEtcd(opened.contents, options);
    if (!options.forceNewCluster) options.log.info({ 'cluster-id': hexId(contents.clusterId), 'local-member-id': hexId(contents.nodeId), 'commit-index': contents.hardState.commit }, 'restarting local member');
    return { wal: opened.wal, contents: options.forceNewCluster ? await goOnAlone(opened.wal, contents, options) : contents, remotes: [], isRestarted: true };
  }
  const former = await options.database.readFormerIdentity();
  const records = await options.database.readRecords();
  if (records.some(({ bucket }) => bucket === 'members')) {
    throw new BootstrapError(`the write-ahead log of this data directory is missing: wal: file not found in ${folder}; restore a snapshot, or remove the data directory of a member whose cluster goes on without it`);
  }
  const begun = former === undefined ? await begin(options) : await takeOver(former, options);
  const wal = await Wal.create(folder, begun.start, options.walOptions);
  const { nodeId, clusterId, hardState, entries, snapshot } = begun.start;
  return { wal, contents: { nodeId, clusterId, hardState, entries: [...entries], snapshot: { confState: undefined, ...snapshot } }, remotes: begun.remotes, isRestarted: false };
}

/** It keeps its data and its identity; the others are gone. */
async function goOnAlone(wal: Wal, contents: WalContents, { database, log }: BootstrapOptions): Promise<WalContents> {
  const { nodeId, clusterId, hardState, snapshot: { confState }, entries } = contents;
  // The hard state need not say all that is committed: what is applied was.
  const commit = Math.max(hardState.commit, (await database.readProgress()).appliedIndex);
  const { kept, added } = leaveAlone({ self: nodeId, term: hardState.term, commit, confState, entries });
  const forced = { ...hardState, commit: added.at(-1)?.index ?? commit };
  await wal.save(added, forced, true);
  if (kept.length < entries.length) log.info({ entries: entries.length - kept.length }, 'discarding uncommitted WAL entries');
  log.info({ 'cluster-id': hexId(clusterId), 'local-member-id': hexId(nodeId), 'wal-commit-index': hardState.commit, 'commit-index': forced.commit }, 'forcing restart member');
  return { ...contents, hardState: forced, entries: [...kept, ...added] };
}

type Begun = { readonly start: WalStart; readonly remotes: Bootstrapped['remotes'] };
const EMPTY = { index: 0, term: 0 };

async function begin(options: BootstrapOptions): Promise<Begun> {
  const cluster = options.discover === undefined ? initialClusterOf(options) : await discoveredCluster(options.discover, options);
  // What a process left that ended before its log was there says nothing.
  await rm(join(options.dataDir, 'member', 'snap'), { recursive: true, force: true });
  const client = new PeerHttpClient(options.peerTls);
  try {
    return options.initialClusterState === 'existing' ? await joinCluster(cluster, options, client) : await found(cluster, options, client);
  } finally {
    client.close();
  }
}

const namedUrl = (name: string) => (url: string): string => `${name}=${url}`;

async function discoveredCluster(discover: NonNullable<BootstrapOptions['discover']>, { name, peerUrls, initialClusterToken }: BootstrapOptions): Promise<readonly NamedUrls[]> {
  const members = await discover({ id: memberIdOf([...peerUrls].sort(), initialClusterToken), peers: peerUrls.map(namedUrl(name)) });
  return byNameOf(members, name).map(({ name: memberName, urls }) => ({ name: memberName, urls: [...urls].sort() }));
}

/** `a=https://1:2380,a=https://2:2380,b=...`: a member may have several addresses. */
function byNameOf(members: readonly string[], self: string): readonly NamedUrls[] {
  const byName = new Map<string, string[]>();
  for (const item of members) {
    const at = item.indexOf('=');
    if (at <= 0 || !URL.canParse(item.slice(at + 1))) throw new BootstrapError(`invalid --initial-cluster: ${item} must be formatted as name=url`);
    byName.set(item.slice(0, at), [...(byName.get(item.slice(0, at)) ?? []), item.slice(at + 1)]);
  }
  if (!byName.has(self)) throw new BootstrapError(`couldn't find local name "${self}" in the initial cluster configuration`);
  const all = [...byName.values()].flat();
  if (new Set(all).size < all.length) throw new BootstrapError(`initial cluster ${members.join(',')} has duplicate url`);
  return [...byName].map(([name, urls]) => ({ name, urls }));
}

function initialClusterOf({ initialCluster, name, peerUrls }: InitialClusterOptions): readonly NamedUrls[] {
  const cluster = byNameOf(initialCluster.length > 0 ? initialCluster : peerUrls.map(namedUrl(name)), name);
  const own = cluster.find((member) => member.name === name)?.urls ?? [];
  const missing = own.filter((url) => !peerUrls.includes(url)).map((url) => `${name}=${url}`);
  const surplus = peerUrls.filter((url) => !own.includes(url));
  if (missing.length > 0) throw new BootstrapError(`--initial-cluster has ${missing.join(',')} but missing from --initial-advertise-peer-urls=${peerUrls.join(',')}`);
  if (surplus.length > 0) throw new BootstrapError(`--initial-advertise-peer-urls has ${surplus.join(',')} but missing from --initial-cluster=${initialCluster.join(',')}`);
  return cluster.map(({ name: memberName, urls }) => ({ name: memberName, urls: [...urls].sort() }));
}

const membersOf = (cluster: readonly NamedUrls[], { initialClusterToken }: InitialClusterOptions): ClusterMember[] => cluster
  .map(({ name, urls }): ClusterMember => ({ id: memberIdOf(urls, initialClusterToken), name, peerUrls: urls, clientUrls: [], isLearner: false }))
  .sort((a, b) => (a.id < b.id ? -1 : 1));

/** The members of a new cluster. Throws BootstrapError. */
export const initialMembers = (options: InitialClusterOptions): readonly ClusterMember[] => membersOf(initialClusterOf(options), options);

/** All members begin with the same entries, one for each of them, as if they had agreed on them. */
async function found(cluster: readonly NamedUrls[], options: BootstrapOptions, client: PeerHttpClient): Promise<Begun> {
  const members = membersOf(cluster, options);
  const self = members.find(({ name }) => name === options.name) as ClusterMember;
  const clusterId = clusterIdOf(members.map(({ id }) => id));
  const others = members.filter(({ id }) => id !== self.id).flatMap(({ peerUrls }) => peerUrls);
  const answers = await Promise.all(others.map((url) => askForMembers(url, client)));
  const isKnown = answers.some((answer) => answer?.clusterId === clusterId && (answer.members.find(({ id }) => id === self.id)?.clientUrls.length ?? 0) > 0);
  if (isKnown) throw new BootstrapError(`member ${hexId(self.id)} has already been bootstrapped`);
  const entries = members.map((member, at): Entry => ({
    type: 'EntryConfChange', term: 1, index: at + 1, data: confChange.encode({ type: 'ConfChangeAddNode', nodeId: member.id, context: encodeMember(member) }),
  }));
  options.log.info({ 'local-member-id': hexId(self.id), 'cluster-id': hexId(clusterId) }, 'starting local member');
  return { start: { nodeId: self.id, clusterId, snapshot: EMPTY, hardState: { term: 1, vote: 0n, commit: entries.length }, entries }, remotes: [] };
}

/** The cluster tells who this member is; everything else comes through the log. */
async function joinCluster(cluster: readonly NamedUrls[], options: BootstrapOptions, client: PeerHttpClient): Promise<Begun> {
  const others = cluster.filter(({ name }) => name !== options.name).flatMap(({ urls }) => urls);
  let existing: RemoteCluster | undefined;
  for (const url of others) existing ??= await askForMembers(url, client);
  if (existing === undefined) throw new BootstrapError('cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs');
  const { members, clusterId } = existing;
  const described = JSON.stringify(members.map(({ id, peerUrls, name }) => ({ id: hexId(id), peerUrls, name })));
  if (members.length !== cluster.length) throw new BootstrapError(`error validating peerURLs ${described}: member count is unequal`);
  for (const { urls } of cluster) {
    if (!members.some(({ peerUrls }) => haveSame(peerUrls, urls))) throw new BootstrapError(`error validating peerURLs ${described}: unmatched member while checking PeerURLs (${urls.join(',')})`);
  }
  const self = members.find(({ peerUrls }) => haveSame(peerUrls, options.peerUrls)) as ClusterMember;
  await refuseOtherVersions(members.filter(({ id }) => id !== self.id), client);
  options.log.info({ 'local-member-id': hexId(self.id), 'cluster-id': hexId(clusterId) }, 'starting local member');
  return {
    start: { nodeId: self.id, clusterId, snapshot: EMPTY, hardState: { term: 0, vote: 0n, commit: 0 }, entries: [] },
    remotes: members.filter(({ id }) => id !== self.id).map(({ id, peerUrls }) => ({ id, urls: peerUrls })),
  };
}

/** Source: etcd v3.6, isCompatibleWithCluster. */
async function refuseOtherVersions(others: readonly ClusterMember[], client: PeerHttpClient): Promise<void> {
  const versions = await Promise.all(others.map(({ peerUrls }) => askForVersions(peerUrls, client)));
  const decided = versions.flatMap((version) => (version?.etcdcluster === undefined || version.etcdcluster === 'not_decided' ? [] : [version.etcdcluster]));
  if (!mayJoin(ETCD_VERSION, decided, await isDowngradeEnabled(others, client))) throw new BootstrapError('incompatible with current running cluster');
}

async function isDowngradeEnabled(others: readonly ClusterMember[], client: PeerHttpClient): Promise<boolean> {
  for (const url of others.flatMap(({ peerUrls }) => peerUrls)) {
    const answer = await client.send(under(url, '/downgrade/enabled'), { method: 'GET', timeoutMs: ASK_TIMEOUT_MS }).catch(() => undefined); // the next one may
    if (answer?.status === 200) return answer.body.toString() === 'true';
  }
  return false;
}

const haveSame = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && [...a].sort().join() === [...b].sort().join();

/** undefined when it does not answer. */
async function askForMembers(url: string, client: PeerHttpClient): Promise<RemoteCluster | undefined> {
  try {
    const { status, headers, body } = await client.send(under(url, '/members'), { method: 'GET', timeoutMs: ASK_TIMEOUT_MS });
    const clusterId = parseId(String(headers['x-etcd-cluster-id']));
    if (status !== 200 || clusterId === undefined) return undefined;
    // Ids are numbers beyond what JSON.parse can read: each member is parsed by itself.
    const members = [...body.toString().matchAll(/\{[^{}]*\}/g)].map(([text]) => decodeMember(text).member);
    return { clusterId, members };
  } catch {
    return undefined; // not there yet, or not any more
  }
}

/**
 * The data directory of a real etcd, as `etcdctl snapshot restore` makes it, or as one leaves it that was stopped: the log
 * is read as it is, and the state that it goes on from is in a bbolt database.
 */
async function takeOverEtcd(contents: WalContents, options: BootstrapOptions): Promise<WalContents> {
  const { database, dataDir, log } = options;
  const { index, term } = contents.snapshot;
  if (index === 0) return contents; // all there is to know is in the log
  const confState = contents.snapshot.confState ?? await readConfState(join(dataDir, 'member', 'snap', `${hex16(term)}-${hex16(index)}.snap`));
  const complete = { ...contents, snapshot: { ...contents.snapshot, confState } };
  const { appliedIndex } = await database.readProgress();
  if (appliedIndex > 0) return complete;
  const file = await open(join(dataDir, 'member', 'snap', 'db'), 'r').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return complete;
  try {
    const source = await readSnapshotFile(file);
    const records = await source.records();
    const voters = new Set([...confState.voters, ...confState.learners]);
    const isOf = (ids: readonly bigint[]): boolean => ids.length === voters.size && ids.every((id) => voters.has(id));
    const isUpToDate = isOf(records.filter(({ bucket }) => bucket === 'members').map(({ value }) => decodeMember(value.toString()).member.id));
    // etcd 3.4 leaves the members of the former cluster there.
    const own = isUpToDate ? [] : initialMembers(options);
    if (!isUpToDate && !isOf(own.map(({ id }) => id))) throw new BootstrapError('the members of the write-ahead log are neither those of the database nor those of --initial-cluster');
    const others = records.filter(({ bucket }) => isUpToDate || (bucket !== 'members' && bucket !== 'members_removed'));
    await database.replace({ ...source, records: async () => [...others, ...own.map((member) => ({ bucket: 'members' as const, key: Buffer.from(hexId(member.id)), value: encodeMember(member) }))] });
    log.info({ index }, 'took over the database of a real etcd');
    return complete;
  } finally {
    await file.close();
  }
}

const hex16 = (value: number): string => value.toString(16).padStart(16, '0');
const snapFile = message({ crc: uint32(1), data: bytes(2) });

/** Up to 3.4 etcd's log does not say who was a member at a snapshot; the file of the snapshot does. */
async function readConfState(path: string): Promise<ConfState> {
  const { crc, data } = snapFile.decode(await readFile(path));
  const confState = crc32c(data) === crc ? snapshotMessage.decode(data).metadata?.confState : undefined;
  if (confState === undefined) throw new BootstrapError(`snap: crc mismatch: ${path} is damaged`);
  return confState;
}

/** Data of a version that had no write-ahead log: the database is all there is, and goes on from where it stands. */
async function takeOver({ clusterId, memberId, term }: FormerIdentity, { name, peerUrls, clientUrls, database, log }: BootstrapOptions): Promise<Begun> {
  const { appliedIndex, revision } = await database.readProgress();
  const self: ClusterMember = { id: BigInt(memberId), name, peerUrls, clientUrls, isLearner: false };
  // An index below 1 stands for a log that never had an entry.
  const index = Math.max(appliedIndex, 1);
  await database.write([putRecord('members', Buffer.from(hexId(self.id)), encodeMember(self))], { appliedIndex: index, term, revision });
  log.info({ index, term, revision }, 'took over data without a write-ahead log');
  const confState = { voters: [self.id], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
  return { start: { nodeId: self.id, clusterId: BigInt(clusterId), snapshot: { index, term, confState }, hardState: { term, vote: 0n, commit: index }, entries: [] }, remotes: [] };
}
