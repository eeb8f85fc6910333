// nft and conntrack: every sync is one transaction through `nft -f -`.
import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import { TABLE } from '../core/table-frame.ts';
import type { Present } from '../core/transaction.ts';
import type { UdpFlow } from '../core/conntrack.ts';

const TIMEOUT_MS = 30_000;
const OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024;

export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number | undefined;
  constructor(message: string, exitCode: number | undefined, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

function run(program: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: TIMEOUT_MS, killSignal: 'SIGKILL' });
    const output: Buffer[] = [];
    let outputBytes = 0;
    let complaint = '';
    child.stdout.on('data', (chunk: Buffer) => {
      outputBytes += chunk.length;
      if (outputBytes <= OUTPUT_LIMIT_BYTES) output.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString('utf8')).slice(0, 4096)));
    child.stdin.on('error', () => undefined); // the program ended before it read all: its exit code tells
    child.once('error', (error) => reject(new CommandError(`cannot run ${program}: ${error.message}`, undefined, { cause: error })));
    child.once('close', (code, signal) => {
      if (code === 0 && outputBytes <= OUTPUT_LIMIT_BYTES) resolve(Buffer.concat(output).toString('utf8'));
      else reject(new CommandError(`${program} ${args.join(' ')}: ${complaint.trim() || `ended with ${signal ?? code}`}`, code ?? undefined));
    });
    child.stdin.end(input);
  });
}

export async function applyTransaction(script: string): Promise<void> {
  await run('nft', ['-f', '-'], script);
}

interface NftList {
  readonly nftables: readonly { readonly chain?: Named; readonly set?: Named; readonly map?: Named }[];
}
interface Named {
  readonly table: string;
  readonly name: string;
}

/** The chains and sets of our table as the kernel has them; both empty when there is no table. */
export async function readPresent(): Promise<Present> {
  const [chains, sets] = await Promise.all([run('nft', ['-j', 'list', 'chains', 'ip']), run('nft', ['-j', '-t', 'list', 'sets', 'ip'])]);
  const namesOf = (text: string, kind: 'chain' | 'set'): string[] =>
    (JSON.parse(text) as NftList).nftables.flatMap((entry) => (entry[kind]?.table === TABLE ? [entry[kind].name] : []));
  return { chains: namesOf(chains, 'chain'), sets: namesOf(sets, 'set') };
}

/** Whether the table is there and its dispatching chain still has rules. */
export async function isTableIntact(expectedRules: number): Promise<boolean> {
  try {
    const chain = JSON.parse(await run('nft', ['-j', 'list', 'chain', 'ip', TABLE, 'services'])) as { nftables: readonly { readonly rule?: object }[] };
    return chain.nftables.filter(({ rule }) => rule !== undefined).length === expectedRules;
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === 1) return false;
    throw error;
  }
}

export async function deleteTable(): Promise<void> {
  await run('nft', ['-f', '-'], `add table ip ${TABLE}\ndelete table ip ${TABLE}\n`);
}

/** The text of all tracked UDP flows of this network namespace. */
export async function listUdpFlows(): Promise<string> {
  return run('conntrack', ['-L', '-p', 'udp', '-o', 'extended']);
}

/** A flow that ended meanwhile is as good as deleted. */
export async function deleteUdpFlow({ source, sourcePort, destination, destinationPort }: UdpFlow): Promise<void> {
  await run('conntrack', ['-D', '-p', 'udp', '--orig-src', source, '--orig-dst', destination, '--sport', String(sourcePort), '--dport', String(destinationPort)]).catch((error: unknown) => {
    if (!(error instanceof CommandError) || error.exitCode !== 1) throw error;
  });
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** First 8 characters of the base32 of the SHA-256. */
export function shortHash(text: string): string {
  const digest = createHash('sha256').update(text).digest();
  let bits = 0n;
  for (const byte of digest.subarray(0, 5)) bits = (bits << 8n) | BigInt(byte);
  return Array.from({ length: 8 }, (_, index) => BASE32[Number((bits >> BigInt(35 - index * 5)) & 31n)]).join('');
}
