// Snapshots of the state between members: a bbolt file as etcd's own, sent after the Raft message that announces it, and put in place of
// the database when Raft says so. Source: etcd v3.6, server/etcdserver/{snapshot_merge,api/rafthttp/snapshot_sender}.go, api/snap/db.go.
import { createWriteStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Logger } from 'pino';
import type { ConfState, RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import { ClusterMembers } from '../core/cluster-members.ts';
import type { Database, DatabaseView, Progress } from './database.ts';
import type { MemberCounts } from './counts.ts';
import { goDuration, humanBytes } from './go-text.ts';
import { memberInfo } from './membership.ts';
import type { Transport } from './peers/transport.ts';
import { hexId } from './peers/identity.ts';
import { openUnnamedFile, writeSnapshot } from './snapshot-file.ts';
import { readSnapshotFile } from './snapshot-source.ts';

export interface SnapshotTransferOptions {
  readonly dataDir: string;
  readonly database: Database;
  readonly log: Logger;
  readonly counts?: MemberCounts;
}

/** After a snapshot was sent, how long the entries that follow it are kept for its receiver. Source: etcd, releaseDelayAfterSnapshot. */
const RELEASE_DELAY_MS = 30_000;
/** A bbolt file is read and written in pages; streams of it in pieces of this. */
const PIECE_BYTES = 64 * 1024;

const nameOf = (index: number): string => `${index.toString(16).padStart(16, '0')}.snap.db`;

export class SnapshotTransfer {
  private readonly options: SnapshotTransferOptions;
  private readonly folder: string;
  private sending = 0;
  private received = 0;

  constructor(options: SnapshotTransferOptions) {
    this.options = options;
    this.folder = join(options.dataDir, 'member', 'snap');
  }

  get isSending(): boolean {
    return this.sending > 0;
  }

  /** Sends the state that the database holds, which is at least as new as the message says. Rejects when it does not arrive. */
  async send(message: RaftMessage, { confStateAt, transport }: { readonly confStateAt: (index: number) => ConfState; readonly transport: Transport }): Promise<void> {
    const { database, dataDir, log } = this.options;
    this.sending += 1;
    const view = database.view();
    try {
      const { appliedIndex, term = 0 } = await view.progress();
      const file = await openUnnamedFile(dataDir);
      try {
        const cluster = await clusterIn(view);
        const sizeBytes = await writeSnapshot(file, { view, term, members: cluster.list().map(memberInfo) });
        const metadata = { index: appliedIndex, term, confState: confStateAt(appliedIndex) };
        const of = { 'snapshot-index': appliedIndex, 'remote-peer-id': hexId(message.to), bytes: sizeBytes, size: humanBytes(sizeBytes) };
        log.info(of, 'sending database snapshot');
        const stream = file.createReadStream({ start: 0, end: sizeBytes - 1, autoClose: false, highWaterMark: PIECE_BYTES });
        await transport.sendSnapshot({ ...message, snapshot: { data: v2StoreOf(cluster), metadata } }, { stream, sizeBytes });
        log.info(of, 'sent database snapshot');
      } finally {
        await file.close();
      }
    } finally {
      await view.close();
      setTimeout(() => { this.sending -= 1; }, RELEASE_DELAY_MS).unref();
    }
  }

  /** Keeps what follows the message, durably. */
  async receive(message: RaftMessage, state: Readable): Promise<void> {
    const { counts, log } = this.options;
    const index = message.snapshot?.metadata?.index ?? 0;
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const part = join(this.folder, `${nameOf(index)}.${this.received++}.part`);
    const startMs = performance.now();
    const of = { 'local-member-id': hexId(message.to), 'remote-snapshot-sender-id': hexId(message.from), 'incoming-snapshot-index': index };
    log.info(of, 'receiving database snapshot');
    let sizeBytes = 0;
    try {
      await pipeline(state, createWriteStream(part, { mode: 0o600 }));
      const file = await open(part, 'r+');
      try {
        await readSnapshotFile(file); // refused now rather than when it is needed
        const syncMs = performance.now();
        await file.sync();
        sizeBytes = (await file.stat()).size;
        counts?.snapshotSync.observe((performance.now() - syncMs) / 1000);
      } finally {
        await file.close();
      }
      await rename(part, join(this.folder, nameOf(index)));
      counts?.snapshotSave.observe((performance.now() - startMs) / 1000);
    } finally {
      await rm(part, { force: true });
    }
    log.info({ ...of, 'incoming-snapshot-size-bytes': sizeBytes, 'incoming-snapshot-size': humanBytes(sizeBytes), 'download-took': goDuration(performance.now() - startMs) }, 'received and saved database snapshot');
  }

  /** Puts the state that was received in place of the database. Can be done again after a crash. */
  async install(index: number): Promise<Progress> {
    const path = join(this.folder, nameOf(index));
    const file = await open(path, 'r');
    let progress: Progress;
    try {
      progress = await this.options.database.replace(await readSnapshotFile(file));
    } finally {
      await file.close();
    }
    if (progress.appliedIndex < index) throw new Error(`the snapshot of index ${index} holds only what was applied up to ${progress.appliedIndex}`);
    for (const name of await readdir(this.folder)) if (name.endsWith('.snap.db')) await rm(join(this.folder, name), { force: true });
    return progress;
  }

  /** Removes what a crash left of a snapshot that was being received. */
  async removeParts(): Promise<void> {
    const names = await readdir(this.folder).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
      throw error;
    });
    for (const name of names) if (name.endsWith('.part')) await rm(join(this.folder, name), { force: true });
  }

  /** A crash came between receiving a snapshot and having it in the database. */
  async recover(index: number, appliedIndex: number): Promise<void> {
    this.options.log.info({ 'consistent-index': appliedIndex, 'snapshot-index': index }, 'Recovering from snapshot backend');
    await this.install(index).catch((error: unknown) => {
      throw new Error(`database (index ${appliedIndex}) does not match with snapshot (index ${index}), and that cannot be installed: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    });
  }
}

/**
 * The members once more, as the store of etcd's second version has them: etcd 3.6 does not take a snapshot without.
 * Source: etcd v3.6, server/etcdserver/api/v2store/{store,node}.go and api/membership/storev2.go.
 */
function v2StoreOf(cluster: ClusterMembers): Buffer {
  const leaf = (path: string, value: unknown): object => ({ Path: path, Value: JSON.stringify(value) });
  const folder = (path: string, children: object): object => ({ Path: path, Children: children });
  const memberNodes = Object.fromEntries(cluster.list().map(memberInfo).map(({ ID, name, peerURLs, clientURLs, isLearner }) => {
    const path = `/0/members/${hexId(ID)}`;
    return [hexId(ID), folder(path, {
      raftAttributes: leaf(`${path}/raftAttributes`, { peerURLs, ...(isLearner ? { isLearner } : {}) }),
      ...(name === '' ? {} : { attributes: leaf(`${path}/attributes`, { name, clientURLs }) }),
    })];
  }));
  const { clusterVersion } = cluster;
  const version = clusterVersion === '' ? {} : { version: { Path: '/0/version', Value: clusterVersion } };
  const root = folder('/', { 0: folder('/0', { members: folder('/0/members', memberNodes), ...version }), 1: folder('/1', {}) });
  return Buffer.from(JSON.stringify({ Root: root, CurrentIndex: 0, CurrentVersion: 2 }));
}

async function clusterIn(view: DatabaseView): Promise<ClusterMembers> {
  const cluster = new ClusterMembers();
  cluster.restore(await view.records());
  return cluster;
}
