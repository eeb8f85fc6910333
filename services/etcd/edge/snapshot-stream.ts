// Maintenance.Snapshot: the state as etcd's tools take it, in pieces, and its SHA-256 at the end.
// Source: etcd v3.6, server/etcdserver/api/v3rpc/maintenance.go.
import { createHash } from 'node:crypto';
import type { Member as MemberInfo } from '#lib/etcd-api/messages.ts';
import { storageVersionOf } from '../core/versions.ts';
import type { Database } from './database.ts';
import type { Member } from './member.ts';
import { openUnnamedFile, writeSnapshot } from './snapshot-file.ts';

export interface SnapshotOptions {
  readonly member: Member;
  readonly database: Database;
  readonly dataDir: string;
  readonly members: () => readonly MemberInfo[];
}

export interface SnapshotResponse {
  readonly header: undefined;
  readonly remainingBytes: number;
  readonly blob: Buffer;
  readonly version: string;
}

/** Where the answers go. */
export interface ResponseSink<Response> {
  /** False when the client does not keep up: wait for `drained()`. */
  readonly send: (response: Response) => boolean;
  readonly drained: () => Promise<void>;
  readonly signal: AbortSignal;
}

/** Source: etcd, snapshotSendBufferSize. */
const PIECE_BYTES = 32 * 1024;

/** Resolves when all is sent, or the client has gone. */
export async function streamSnapshot({ member, database, dataDir, members }: SnapshotOptions, sink: ResponseSink<SnapshotResponse>): Promise<void> {
  await member.cleared();
  const view = database.view();
  const version = storageVersionOf(member.cluster.clusterVersion);
  const file = await openUnnamedFile(dataDir).catch(async (error: unknown) => {
    await view.close();
    throw error;
  });
  try {
    const size = await writeSnapshot(file, { view, term: member.term, members: members() });
    const hash = createHash('sha256');
    for (let sent = 0; sent < size && !sink.signal.aborted;) {
      const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, size - sent));
      const { bytesRead } = await file.read(piece, 0, piece.length, sent);
      if (bytesRead === 0) throw new Error(`the snapshot ends after ${sent} of ${size} bytes`);
      sent += bytesRead;
      const blob = piece.subarray(0, bytesRead);
      hash.update(blob);
      if (!sink.send({ header: undefined, remainingBytes: size - sent, blob, version })) await sink.drained();
    }
    if (!sink.signal.aborted) sink.send({ header: undefined, remainingBytes: 0, blob: hash.digest(), version });
  } finally {
    await file.close();
    await view.close();
  }
}
