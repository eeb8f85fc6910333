// ctr: containerd's own client, as far as images go. On a host whose containerd is the real one, it is that one's ctr.
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { spawnSync } from 'node:child_process';
import { createWriteStream, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { connectToRuntime } from '#lib/cri/client.ts';
import { importMethod, type ImportResponse } from './edge/import-call.ts';

const REAL_CTR = '/usr/bin/ctr';
/** Not /tmp: a host's is in memory. */
const SPOOL = '/var/tmp';
const USAGE = `usage: ctr [-n NAMESPACE] [-a SOCKET] images import [--index-name NAME] FILE|-
       ctr [-n NAMESPACE] [-a SOCKET] images ls [-q] | pull REF | rm REF... | version\n`;

interface Words { readonly address: string; readonly words: readonly string[]; readonly indexName: string; readonly quiet: boolean }

function parse(args: readonly string[]): Words {
  const found = { address: '/run/containerd/containerd.sock', words: [] as string[], indexName: '', quiet: false };
  for (let at = 0; at < args.length; at += 1) {
    const [option = '', inline] = (args[at] ?? '').split(/=(.*)/s);
    const value = (): string => inline ?? args[(at += 1)] ?? '';
    if (['-n', '--namespace'].includes(option)) value(); // there is one store, which is the kubelet's
    else if (['-a', '--address'].includes(option)) found.address = value();
    else if (option === '--index-name') found.indexName = value();
    else if (['-q', '--quiet'].includes(option)) found.quiet = true;
    else if (option.length > 1 && option.startsWith('-')) throw new Error(`flag provided but not defined: ${option}`);
    else found.words.push(args[at] ?? '');
  }
  return found;
}

async function main(args: readonly string[]): Promise<void> {
  const { address, words: [noun = '', verb = '', ...rest], indexName, quiet } = parse(args);
  const runtime = connectToRuntime(address);
  try {
    const { runtimeVersion } = await runtime.runtime.version({});
    if (!runtimeVersion.endsWith('-kubreak')) {
      if (!existsSync(REAL_CTR)) throw new Error(`containerd ${runtimeVersion} serves here, and ${REAL_CTR} is not installed`);
      process.exitCode = spawnSync(REAL_CTR, args, { stdio: 'inherit' }).status ?? 1;
      return;
    }
    if (noun === 'version') return void process.stdout.write(`Server:\n  Version:  ${runtimeVersion}\n`);
    if (!['images', 'image', 'i'].includes(noun)) throw new Error(USAGE);
    switch (verb) {
      case 'import': return await importArchive(address, rest[0] ?? '', indexName);
      case 'pull': return void process.stdout.write(`${(await runtime.images.pullImage({ image: { image: required(rest[0]) } }, { timeoutMs: Infinity })).imageRef}\n`);
      case 'rm': case 'remove': case 'delete': case 'del':
        for (const name of rest) {
          await runtime.images.removeImage({ image: { image: name } });
          process.stdout.write(`${name}\n`);
        }
        return;
      case 'ls': case 'list': {
        const { images } = await runtime.images.listImages({});
        const lines = images.flatMap(({ id, repoTags, repoDigests, size }) => (repoTags.length > 0 ? repoTags : repoDigests.length > 0 ? repoDigests : [id]).map((name) => ({ name, id, size }))).sort((left, right) => (left.name < right.name ? -1 : 1));
        if (quiet) return void process.stdout.write(lines.map(({ name }) => `${name}\n`).join(''));
        const width = Math.max(4, ...lines.map(({ name }) => name.length));
        process.stdout.write(`${'REF'.padEnd(width)} ${'DIGEST'.padEnd(71)} SIZE\n${lines.map(({ name, id, size }) => `${name.padEnd(width)} ${id} ${binarySize(size)}\n`).join('')}`);
        return;
      }
      default: throw new Error(USAGE);
    }
  } finally {
    runtime.close();
  }
}

function required(word: string | undefined): string {
  if (word === undefined || word === '') throw new Error(USAGE);
  return word;
}

function binarySize(bytes: number): string {
  const unit = Math.min(3, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** unit).toFixed(1)} ${['B', 'KiB', 'MiB', 'GiB'][unit] ?? ''}`;
}

async function importArchive(address: string, file: string, name: string): Promise<void> {
  const scratch = required(file) === '-' ? mkdtempSync(join(SPOOL, 'ctr-')) : undefined;
  const client = new Client(`unix://${address}`, credentials.createInsecure(), { 'grpc.default_authority': 'localhost' });
  try {
    const path = scratch === undefined ? resolve(file) : join(scratch, 'archive');
    if (scratch !== undefined) await pipeline(process.stdin, createWriteStream(path));
    const { images } = await new Promise<ImportResponse>((done, fail) => {
      client.makeUnaryRequest(importMethod.path, importMethod.requestSerialize, importMethod.responseDeserialize, { path, name }, (error, response) => (response ? done(response) : fail(error ?? new Error('no answer'))));
    });
    for (const { id, tags } of images) process.stdout.write((tags.length > 0 ? tags : [id]).map((tag) => `unpacking ${tag} (${id})...done\n`).join(''));
  } finally {
    client.close();
    if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true });
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const text = error instanceof Error ? (error as Partial<ServiceError>).details ?? error.message : String(error);
  process.stderr.write(text.startsWith('usage:') ? text : `ctr: ${text}\n`);
  process.exitCode = 1;
});
