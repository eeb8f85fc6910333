// fault-helper ID SPEC FILE: stands in for part of the network of its host until it is killed; makes FILE when it does. Its nft
// table is its own: the kernel takes it away when this process ends, however it ends.
import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { serveLies } from './dns-liar.ts';
import { serveSlowly } from './slow-relay.ts';
import type { HelperSpec } from './spec.ts';

const TABLE_DEADLINE_MS = 10_000;
const POLL_MS = 20;

async function help({ address, table, rules, services }: HelperSpec): Promise<void> {
  const ports = await Promise.all(services.map((service) => (service.kind === 'dns' ? serveLies(address, service.answer).then(({ port }) => port) : serveSlowly(address, service))));
  // nft holds the table as long as its input is open: while this process is there.
  const nft = spawn('nft', ['-i'], { stdio: ['pipe', 'ignore', 'inherit'] });
  nft.once('exit', () => process.exit(1));
  nft.once('error', fail);
  nft.stdin.on('error', fail);
  nft.stdin.write(`${rules.map((rule) => rule.replace(/\$(\d+)/g, (_, index: string) => String(ports[Number(index)] ?? 0))).join('\n')}\n`);
  const wanted = rules.filter((rule) => rule.startsWith('add rule')).length;
  for (const deadlineMs = performance.now() + TABLE_DEADLINE_MS; rulesIn(table) < wanted;) {
    if (performance.now() > deadlineMs) throw new Error(`nft has not made the table ${table}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Those that lead elsewhere. */
function rulesIn(table: string): number {
  try {
    return execFileSync('nft', ['list', 'table', 'inet', table], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\n').filter((line) => line.includes('dnat')).length;
  } catch {
    return 0; // not there yet
  }
}

function fail(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

const [, , , spec = '', readyFile = ''] = process.argv;
help(JSON.parse(spec) as HelperSpec).then(() => writeFileSync(readyFile, ''), fail);
