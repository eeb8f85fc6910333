// A snapshot of a cluster in one tar: etcd's own snapshot, the same objects as YAML for people, and what the objects are worth nothing without.
import { accessSync, constants, createReadStream, createWriteStream, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { extract, pack, type Pack } from 'tar-stream';
import { UserError } from '../user-error.ts';

export const FORMAT = 1;
const META = 'snapshot.json';
export const ETCD_ENTRY = 'etcd/snapshot.db';
export const SIGNING_KEY = 'pki/sa.key';
export const VERIFICATION_KEY = 'pki/sa.pub';
const AUTHORITY = 'pki/ca.crt';
/** Of what is held in memory when an archive is read. */
const MAX_SMALL_BYTES = 1024 * 1024;

export interface SnapshotMeta {
  readonly format: typeof FORMAT;
  readonly takenAt: string;
  readonly kubernetesVersion: string;
  readonly mode: 'local' | 'compose';
  /** Where the cluster's nodes find the API server. */
  readonly controlPlaneEndpoint: string;
  readonly hosts: readonly { readonly name: string; readonly address: string; readonly role: string }[];
  /** Group (or core) and resource to how many are in objects/. */
  readonly objects: Readonly<Record<string, number>>;
  /** Resources that are in etcd alone: of no use to people. */
  readonly onlyInEtcd: readonly string[];
}

export interface SnapshotContents {
  readonly meta: SnapshotMeta;
  readonly signingKeyPem: string;
  readonly verificationKeyPem: string;
  readonly authorityPem: string;
  /** Path in the archive to YAML. */
  readonly objects: ReadonlyMap<string, string>;
  /** A file on this machine. */
  readonly etcdSnapshot: string;
}

const ABOUT = `A snapshot of a Kubernetes cluster, made by kubreak snapshot save. KEEP IT SECRET: it holds every Secret of the cluster in
plain text, twice, and the key that signs the tokens of its service accounts.

${ETCD_ENTRY}     everything that etcd holds, as etcdctl snapshot save writes it (etcdctl snapshot status ${ETCD_ENTRY})
objects/            the objects in it as YAML, a file a resource, for people; events and leases are left out. They are listed right after
                    etcd's snapshot, so one that changed in between differs. Nothing is restored from here.
${SIGNING_KEY}          signs tokens of service accounts; ${VERIFICATION_KEY} verifies them. Without them tokens in Secrets are worth nothing.
${AUTHORITY}          the authority of the cluster's certificates; its key is not here, a cluster keeps its own.
${META}       when, of which cluster, of which version

Restore it with kubreak snapshot restore FILE.
`;

function add(tar: Pack, name: string, text: string): void {
  tar.entry({ name, mode: 0o600 }, text);
}

export async function writeArchive(file: string, { meta, signingKeyPem, verificationKeyPem, authorityPem, objects, etcdSnapshot }: SnapshotContents): Promise<void> {
  const tar = pack();
  const writing = pipeline(tar, createWriteStream(file, { mode: 0o600 }));
  const filling = async (): Promise<void> => {
    add(tar, 'README.txt', ABOUT);
    add(tar, META, `${JSON.stringify(meta, null, 2)}\n`);
    add(tar, SIGNING_KEY, signingKeyPem);
    add(tar, VERIFICATION_KEY, verificationKeyPem);
    add(tar, AUTHORITY, authorityPem);
    for (const [name, text] of objects) add(tar, name, text);
    await pipeline(createReadStream(etcdSnapshot), tar.entry({ name: ETCD_ENTRY, mode: 0o600, size: statSync(etcdSnapshot).size }));
    tar.finalize();
  };
  await Promise.all([writing, filling()]);
}

/** Puts etcd's snapshot into `etcdSnapshot`. Throws UserError for what is no snapshot, or of a format that this kubreak does not know. */
export async function readArchive(file: string, etcdSnapshot: string): Promise<Omit<SnapshotContents, 'objects'>> {
  const small = new Map<string, string>();
  let hasEtcd = false;
  const entries = extract();
  entries.on('entry', (header, stream, next) => {
    const read = async (): Promise<void> => {
      if (header.name === ETCD_ENTRY) {
        await pipeline(stream, createWriteStream(etcdSnapshot, { mode: 0o600 }));
        hasEtcd = true;
      } else if ([META, SIGNING_KEY, VERIFICATION_KEY, AUTHORITY].includes(header.name)) {
        if ((header.size ?? 0) > MAX_SMALL_BYTES) throw new UserError(`${file}: ${header.name} is too large`);
        const parts: Buffer[] = [];
        for await (const part of stream as AsyncIterable<Buffer>) parts.push(part);
        small.set(header.name, Buffer.concat(parts).toString('utf8'));
      } else {
        for await (const _ of stream) continue; // of no use here
      }
    };
    read().then(() => next(), next);
  });
  await pipeline(createReadStream(file), entries).catch((error: unknown) => {
    throw error instanceof UserError ? error : new UserError(`${file} cannot be read as a snapshot: ${error instanceof Error ? error.message : String(error)}`);
  });
  const part = (name: string): string => {
    const text = small.get(name);
    if (text === undefined) throw new UserError(`${file} is no snapshot of kubreak: it has no ${name}`);
    return text;
  };
  const meta = metaOf(part(META), file);
  if (!hasEtcd) throw new UserError(`${file} is no snapshot of kubreak: it has no ${ETCD_ENTRY}`);
  return { meta, signingKeyPem: part(SIGNING_KEY), verificationKeyPem: part(VERIFICATION_KEY), authorityPem: part(AUTHORITY), etcdSnapshot };
}

function metaOf(text: string, file: string): SnapshotMeta {
  let meta: Partial<Omit<SnapshotMeta, 'format'>> & { readonly format?: unknown };
  try {
    meta = JSON.parse(text) as typeof meta;
  } catch {
    throw new UserError(`${file}: ${META} is no JSON`);
  }
  if (meta.format !== FORMAT) throw new UserError(`${file} is of format ${String(meta.format)}; this kubreak reads format ${FORMAT}`);
  if (typeof meta.controlPlaneEndpoint !== 'string' || typeof meta.kubernetesVersion !== 'string' || !Array.isArray(meta.hosts)) throw new UserError(`${file}: ${META} is not whole`);
  return meta as SnapshotMeta;
}

/** Throws UserError when there is no such file, or none that may be read. */
export function requireFile(file: string): void {
  try {
    accessSync(file, constants.R_OK);
  } catch (error) {
    throw new UserError(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`, 2);
  }
}
