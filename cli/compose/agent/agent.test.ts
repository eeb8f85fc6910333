import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { StaticPodAgent } from './agent.ts';

const LINK = fileURLToPath(new URL('../link', import.meta.url));
const DEADLINE_MS = 10_000;

let folder: string;
let agent: StaticPodAgent;
let ended: Promise<number> | undefined;
const links: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kubreak-agent-'));
  symlinkSync(LINK, join(folder, 'sh')); // the link stands for the program of its name
  writeFileSync(join(folder, 'netns'), `${readlinkSync('/proc/self/ns/net')}\n`);
  agent = new StaticPodAgent({
    component: 'sh', folder, manifest: join(folder, 'manifest.yaml'), environment: { PATH: process.env['PATH'] ?? '' },
    readManifest: () => Promise.resolve(JSON.parse(readFileSync(join(folder, 'manifest.yaml'), 'utf8'))), print: () => undefined,
  });
});
afterEach(async () => {
  for (const link of links.splice(0)) link.kill('SIGKILL');
  agent.stop();
  await ended;
  ended = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** The program is `sh -c SCRIPT`. */
function startLink(script: string): { child: ChildProcess; output: () => string; exit: Promise<[number | null]> } {
  const child = spawn('perl', [join(folder, 'sh'), '-c', script], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, KUBREAK_CONTROL_PLANE: folder } });
  links.push(child);
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { child, output: () => text, exit: once(child, 'close') as Promise<[number | null]> };
}

function startAgent(): void {
  ended = agent.run();
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const startedMs = performance.now();
  while (!isSo()) {
    assert.ok(performance.now() - startedMs < DEADLINE_MS, `${what}: not within ${DEADLINE_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const pidIn = (pidFile: string): string => (existsSync(pidFile) ? readFileSync(pidFile, 'utf8').trim() : ''); // a shell makes the file before it writes
const isRunning = (pidFile: string): boolean => pidIn(pidFile) !== '' && existsSync(`/proc/${pidIn(pidFile)}`);

test('the link has the output and the exit code of the process, which runs in the container of the agent', async () => {
  startAgent();
  const { output, exit } = startLink('echo out; echo err >&2; exit 3');
  assert.deepEqual((await exit)[0], 3);
  assert.deepEqual(output().trim().split('\n').sort(), ['err', 'out']);
});

test('a signal to the link reaches the process', async () => {
  startAgent();
  const { child, output, exit } = startLink('trap "echo asked to end; exit 0" TERM; echo ready; while :; do sleep 0.05; done');
  await until('the process runs', () => output().includes('ready'));
  child.kill('SIGTERM');
  assert.equal((await exit)[0], 0);
  assert.match(output(), /asked to end/);
});

test('a link that is killed takes the process with it, and the next link starts it anew', async () => {
  startAgent();
  const pidFile = join(folder, 'pid');
  const script = `echo $$ > ${pidFile}; exec sleep 1000`;
  const first = startLink(script);
  await until('the process runs', () => isRunning(pidFile));
  const pid = readFileSync(pidFile, 'utf8');
  first.child.kill('SIGKILL');
  await until('the process has ended', () => !isRunning(pidFile));
  startLink(script);
  await until('another process runs', () => isRunning(pidFile) && readFileSync(pidFile, 'utf8') !== pid);
});

test('a link waits for a container that is down', async () => {
  const { output, exit } = startLink('echo here at last');
  startAgent();
  assert.equal((await exit)[0], 0);
  assert.equal(output(), 'here at last\n');
});

test('with the manifest in place the process starts at once, and a link that comes later is told what it has said', async () => {
  const pidFile = join(folder, 'pid');
  const script = `echo $$ > ${pidFile}; echo first words; exec sleep 1000`;
  writeFileSync(join(folder, 'manifest.yaml'), JSON.stringify({ spec: { containers: [{ command: ['sh', '-c', script] }] } }));
  startAgent();
  await until('the process runs', () => isRunning(pidFile));
  const pid = readFileSync(pidFile, 'utf8');
  const { output } = startLink(script);
  await until('the link has it', () => output() === 'first words\n');
  assert.equal(readFileSync(pidFile, 'utf8'), pid, 'it is the same process');
});

test('a container left in the network of an m-k8s that is gone ends, to be started again', async () => {
  startAgent();
  const pidFile = join(folder, 'pid');
  startLink(`echo $$ > ${pidFile}; exec sleep 1000`);
  await until('the process runs', () => isRunning(pidFile));
  writeFileSync(join(folder, 'netns'), 'net:[1]\n');
  assert.equal(await ended, 1);
  await until('the process has ended', () => !isRunning(pidFile));
});
