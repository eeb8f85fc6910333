// Every kubectl command of kubectl-commands.yaml, with Debian's kubectl and a current one, on one cluster.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { oldAndCurrentKubectl, type Kubectl } from '../tools/kubectl.ts';
import { runCommand, TestCluster, until } from './cluster.ts';

interface Command {
  readonly run: string;
  readonly prints?: string;
  readonly matches?: readonly string[];
  readonly exit?: number;
  readonly retry?: boolean;
  readonly since?: string;
  readonly before?: string;
}
const { files, commands } = parse(readFileSync(new URL('kubectl-commands.yaml', import.meta.url), 'utf8')) as { files: Record<string, string>; commands: readonly Command[] };
const COMMAND_TIMEOUT_MS = 100_000;
const minorOf = (version: string): number => Number(version.split('.')[1]);

describe('every kubectl command', { timeout: 900_000 }, () => {
  let cluster: TestCluster;
  const scratch = mkdtempSync(join(tmpdir(), 'kubreak-kubectl-'));
  before(async () => {
    cluster = await TestCluster.start();
    const key = execFileSync('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'], { stdio: ['ignore', 'pipe', 'ignore'] });
    writeFileSync(join(scratch, 'key.pem'), key);
  });
  after(async () => {
    await cluster.down();
    rmSync(scratch, { recursive: true, force: true });
  });

  for (const kubectl of oldAndCurrentKubectl()) {
    describe(`of 1.${kubectl.minor}`, () => {
      const namespace = `shop-1-${kubectl.minor}`;
      const folder = join(scratch, namespace);
      const environment = (): Record<string, string> => ({ NS: namespace, FILES: folder, HOME: folder, KUBECONFIG: join(folder, 'kubeconfig'), PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}` });
      before(() => prepare(kubectl, folder, scratch, readFileSync(cluster.kubeconfig, 'utf8')));

      for (const [index, command] of commands.entries()) {
        if (command.since !== undefined && kubectl.minor < minorOf(command.since)) continue;
        if (command.before !== undefined && kubectl.minor >= minorOf(command.before)) continue;
        test(`${index + 1}: ${command.run}`, async () => {
          const attempt = async (): Promise<void> => {
            const { code, stdout, stderr } = await runCommand('sh', ['-c', command.run], { env: environment(), timeoutMs: COMMAND_TIMEOUT_MS });
            const seen = `exit ${code}\n${stdout}${stderr}`;
            assert.equal(code, command.exit ?? 0, seen);
            if (command.prints !== undefined) assert.equal(stdout.trimEnd(), command.prints.replaceAll('$NS', namespace), seen);
            for (const pattern of command.matches ?? []) assert.match(`${stdout}${stderr}`, new RegExp(pattern.replaceAll('\\$NS', namespace), 'm'), seen);
          };
          if (command.retry === true) await until(command.run, () => attempt().then(() => true));
          else await attempt();
        });
      }
    });
  }
});

/** The files of the table, a `kubectl` of the right version first on PATH, a kubeconfig that it may change. */
function prepare({ path }: Kubectl, folder: string, scratch: string, kubeconfig: string): void {
  mkdirSync(join(folder, 'bin'), { recursive: true });
  symlinkSync(path, join(folder, 'bin/kubectl'));
  writeFileSync(join(folder, 'kubeconfig'), kubeconfig, { mode: 0o600 });
  const openssl = (...args: string[]): Buffer => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const key = join(scratch, 'key.pem');
  const request = openssl('req', '-new', '-key', key, '-subj', '/CN=jane').toString('base64');
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text.replace('CSR_REQUEST', request));
  writeFileSync(join(folder, 'tls.key'), readFileSync(key));
  writeFileSync(join(folder, 'tls.crt'), openssl('req', '-x509', '-key', key, '-subj', '/CN=shop.example', '-days', '1'));
}
