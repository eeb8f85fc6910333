// nft and conntrack: every sync is one transaction through `nft -f -`.
import { createHash } from 'node:crypto';
import { CommandError, runCommand } from '#lib/service/run-command.ts';
import { TABLE } from '../core/table-frame.ts';
import type { Present } from '../core/transaction.ts';
import type { UdpFlow } from '../core/conntrack.ts';

export async function applyTransaction(script: string): Promise<void> {
  await runCommand('nft', ['-f', '-'], script);
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
  const [chains, sets] = await Promise.all([runCommand('nft', ['-j', 'list', 'chains', 'ip']), runCommand('nft', ['-j', '-t', 'list', 'sets', 'ip'])]);
  const namesOf = (text: string, kind: 'chain' | 'set'): string[] =>
    (JSON.parse(text) as NftList).nftables.flatMap((entry) => (entry[kind]?.table === TABLE ? [entry[kind].name] : []));
  return { chains: namesOf(chains, 'chain'), sets: namesOf(sets, 'set') };
}

/** Whether the table is there and its dispatching chain still has rules. */
export async function isTableIntact(expectedRules: number): Promise<boolean> {
  try {
    const chain = JSON.parse(await runCommand('nft', ['-j', 'list', 'chain', 'ip', TABLE, 'services'])) as { nftables: readonly { readonly rule?: object }[] };
    return chain.nftables.filter(({ rule }) => rule !== undefined).length === expectedRules;
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === 1) return false;
    throw error;
  }
}

export async function deleteTable(): Promise<void> {
  await runCommand('nft', ['-f', '-'], `add table ip ${TABLE}\ndelete table ip ${TABLE}\n`);
}

/** The text of all tracked UDP flows of this network namespace. */
export async function listUdpFlows(): Promise<string> {
  return runCommand('conntrack', ['-L', '-p', 'udp', '-o', 'extended']);
}

/** A flow that ended meanwhile is as good as deleted. */
export async function deleteUdpFlow({ source, sourcePort, destination, destinationPort }: UdpFlow): Promise<void> {
  await runCommand('conntrack', ['-D', '-p', 'udp', '--orig-src', source, '--orig-dst', destination, '--sport', String(sourcePort), '--dport', String(destinationPort)]).catch((error: unknown) => {
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
