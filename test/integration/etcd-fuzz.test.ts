// Bytes that nobody should send to a member's peer port (and some to its client port), from a seed: it neither ends nor hangs, nor grows.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connectToEtcd } from '#lib/etcd-api/client.ts';
import { MESSAGE_TYPES, raftMessage } from '#lib/etcd-api/raft-messages.ts';
import { integerBelow, seededRandom } from '#lib/environment/random.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 100_000);
const random = seededRandom(seed);
const ATTACKS = 400;
/** Attacks under way at a time. */
const AT_ONCE = 20;
/** An attacker that is not cut off goes away after this; milliseconds. */
const ATTACK_MS = 400;
/** What it may grow by; a queue without bound would take more. */
const MAX_GROWTH_BYTES = 96 * 1024 * 1024;

const folder = mkdtempSync(join(tmpdir(), 'kubreak-fuzz-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const pick = <T>(items: readonly T[]): T => items[integerBelow(random, items.length)] as T;
const randomBytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => integerBelow(random, 256)));
const randomId = (): bigint => (integerBelow(random, 3) === 0 ? 0n : randomBytes(8).readBigUInt64BE());

/** Damages some bytes, cuts some off, or adds some. */
function damage(bytes: Buffer): Buffer {
  const damaged = Buffer.from(bytes);
  for (let count = integerBelow(random, 8); count > 0 && damaged.length > 0; count -= 1) damaged[integerBelow(random, damaged.length)] = integerBelow(random, 256);
  const kind = integerBelow(random, 3);
  return kind === 0 ? damaged.subarray(0, integerBelow(random, damaged.length + 1)) : kind === 1 ? Buffer.concat([damaged, randomBytes(integerBelow(random, 64))]) : damaged;
}

/** Of a member that there is not: one that there is could rightly be believed. */
const randomMessage = (to: bigint): Buffer => raftMessage.encode({
  type: pick(MESSAGE_TYPES), to, from: randomId(), term: integerBelow(random, 5), logTerm: integerBelow(random, 5), index: integerBelow(random, 100),
  commit: integerBelow(random, 100), context: randomBytes(integerBelow(random, 20)), reject: random.fraction() < 0.5,
  entries: Array.from({ length: integerBelow(random, 4) }, (_, at) => ({ type: 'EntryNormal' as const, term: 1, index: at + 1, data: randomBytes(integerBelow(random, 200)) })),
});

function peerAttack(clusterId: string, memberId: bigint): Buffer {
  const name = memberId.toString(16);
  const path = pick(['/raft', '/raft/snapshot', '/raft/probing', `/raft/stream/msgappv2/${name}`, `/raft/stream/message/${name}`, '/raft/stream/x/1', '/members', '/members/promote/1', '/members/hashkv', '/version', '/leases', '/leases/internal', '/downgrade/enabled', `/${randomBytes(6).toString('hex')}`, '//', '*']);
  const message = randomMessage(pick([memberId, randomId()]));
  const framed = Buffer.concat([Buffer.alloc(8, 0), message]);
  framed.writeBigUInt64BE(pick([BigInt(message.length), 0n, 2n ** 63n, BigInt(message.length + 5)]), 0);
  const body = pick([message, framed, randomBytes(integerBelow(random, 2000)), Buffer.alloc(0)]);
  const sent = random.fraction() < 0.6 ? damage(body) : body;
  const length = pick([String(sent.length), String(sent.length), String(sent.length + 100), '99999999999', '-1', 'x']);
  const headers = [
    `Host: ${pick(['a', '', 'x'.repeat(300)])}`, `X-Etcd-Cluster-ID: ${pick([clusterId, clusterId, clusterId, '0', 'zz'])}`, `X-Server-From: ${pick([name, 'abc', '0', 'ffffffffffffffff', '-1', 'g'])}`, `X-Raft-To: ${pick([name, name, '1', 'q'])}`,
    `X-Server-Version: ${pick(['3.6.8', '3.6.8', '2.0.0', 'x', '99.0.0'])}`, 'X-Min-Cluster-Version: 3.0.0', `X-PeerURLs: ${pick(['http://127.0.0.1:1', 'x', 'http://[', ','.repeat(50)])}`, `Content-Length: ${length}`,
    ...(random.fraction() < 0.2 ? ['Transfer-Encoding: chunked'] : []),
  ];
  const head = Buffer.from(`${pick(['GET', 'POST', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'CONNECT'])} ${path} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
  return random.fraction() < 0.2 ? damage(Buffer.concat([head, sent])) : Buffer.concat([head, sent]);
}

function clientAttack(): Buffer {
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const frame = (type: number, flags: number, stream: number, payload: Buffer): Buffer => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(stream, 5);
    return Buffer.concat([head, payload]);
  };
  const frames = Array.from({ length: integerBelow(random, 6) }, () => frame(integerBelow(random, 12), integerBelow(random, 64), integerBelow(random, 8), randomBytes(integerBelow(random, 100))));
  return pick([() => randomBytes(integerBelow(random, 500)), () => Buffer.concat([preface, frame(4, 0, 0, Buffer.alloc(0)), ...frames]), () => damage(Buffer.concat([preface, frame(4, 0, 0, Buffer.alloc(0)), ...frames])),
    () => Buffer.from(`POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n${damage(Buffer.from('{"key":"Zm9v","value":"YmFy","lease":1}')).toString('latin1')}`)])();
}

/** Sends, sometimes in pieces, and waits until it is cut off or long enough. */
function attack(port: number, bytes: Buffer): Promise<void> {
  const cut = integerBelow(random, bytes.length + 1);
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(bytes.subarray(0, cut));
      socket.write(bytes.subarray(cut));
    });
    const timer = setTimeout(() => socket.destroy(), ATTACK_MS);
    socket.on('data', () => undefined).on('error', () => undefined).on('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

const residentBytes = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;

test(`${ATTACKS} messages that make no sense, to peer and client port, neither end a member nor hang it`, { timeout: 240_000 }, async () => {
  const program = fileURLToPath(new URL('../../dist/etcd.js', import.meta.url));
  const child = spawn(process.execPath, [program, '--name=fuzz', `--data-dir=${folder}/data`, '--listen-client-urls=http://127.0.0.1:0', '--listen-peer-urls=http://127.0.0.1:0', '--log-outputs=stdout'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (text: Buffer) => { errors += text.toString(); });
  const { urls = [], peerUrls = [] } = await new Promise<{ urls?: string[]; peerUrls?: string[] }>((resolve, reject) => {
    child.once('exit', () => reject(new Error(errors)));
    createInterface(child.stdout).on('line', (line) => {
      const entry = JSON.parse(line) as { msg: string; urls?: string[]; peerUrls?: string[] };
      if (entry.msg === 'ready to serve client requests') resolve(entry);
    });
  });
  const [client, peer] = [urls, peerUrls].map((all) => Number(new URL(all[0] ?? '').port)) as [number, number];
  const etcd = connectToEtcd({ endpoints: [urls[0] ?? ''] });
  try {
    await etcd.put({ key: 'before', value: 'v' });
    const { header } = await etcd.status();
    const clusterId = (header?.clusterId ?? 0n).toString(16);
    const memberId = header?.memberId ?? 0n;
    const before = residentBytes(child.pid ?? 0);
    for (let done = 0; done < ATTACKS; done += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, () => (random.fraction() < 0.7 ? attack(peer, peerAttack(clusterId, memberId)) : attack(client, clientAttack()))));
      assert.equal(child.exitCode ?? child.signalCode, null, `seed ${seed}: the member ended: ${errors}`);
      await etcd.put({ key: 'during', value: String(done) }, { timeoutMs: 10_000 }).catch((error: unknown) => assert.fail(`seed ${seed}: no answer after ${done + AT_ONCE} attacks: ${String(error)}`));
    }
    assert.equal((await etcd.range({ key: 'before' })).kvs[0]?.value.toString(), 'v');
    assert.ok(residentBytes(child.pid ?? 0) - before < MAX_GROWTH_BYTES, `seed ${seed}: it grew from ${before} to ${residentBytes(child.pid ?? 0)} bytes`);
  } finally {
    etcd.close();
    child.kill('SIGKILL');
  }
});
