// Every drill that ships and is for one master passes, several at the same time on clusters of their own, since most of a drill is
// waiting; and what happens when a drill fails, is not for a cluster, or is ended. Each without its fault: npm run drills -- --self-check.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { DrillReport } from '../../cli/drill/core/report.ts';
import { ClusterPool, runDrill, shippedDrills } from '../drills/run-drill.ts';
import { selfCheckProblem } from '../drills/self-check.ts';
import { KUBREAK, TestCluster, until } from './cluster.ts';

const CLUSTERS = 3;
/** Those that take longest first, so that none of them is left for the end. */
const LONGEST = [
  'broken-apiserver', 'broken-controller-manager', 'etcd-stopped', 'statefulset-node-removed', 'etcd-disk-full', 'broken-scheduler', 'clock-past-leases', 'broken-container-runtime',
  'broken-etcd', 'broken-kube-proxy', 'broken-kubelet', 'kubelet-cut-off-one-way', 'statefulset-node-lost',
];
/** Lines of a drill's timeline that tell what went wrong. */
const LAST_LINES = 80;

const shipped = (await shippedDrills()).filter(({ requires }) => (requires?.masters ?? 1) === 1);
const sideBySide = shipped.filter(({ scope }) => scope === 'namespace').map(({ name }) => name);
const others = shipped.map(({ name }) => name).filter((name) => !sideBySide.includes(name));
const ordered = [...LONGEST.filter((name) => others.includes(name)), ...others.filter((name) => !LONGEST.includes(name))];

describe('drills', { concurrency: CLUSTERS, timeout: 880_000 }, () => {
  const clusters: TestCluster[] = [];
  const reports = mkdtempSync(join(tmpdir(), 'kubreak-drills-'));
  let pool: ClusterPool;
  before(async () => {
    for (let count = 0; count < CLUSTERS; count += 1) clusters.push(await TestCluster.start('self', ['--fast-failure-detection']));
    pool = new ClusterPool(clusters);
  });
  after(async () => {
    for (const cluster of clusters) await cluster.down();
    rmSync(reports, { recursive: true, force: true });
  });

  /** On a cluster that nobody else uses meanwhile, and on which nothing of it may be left. */
  const alone = (use: (cluster: TestCluster) => Promise<void>): Promise<void> => pool.with(async (cluster) => {
    await use(cluster as TestCluster);
    assert.equal((await cluster.kubreak(['faults'])).stdout, 'nothing is broken\n');
    assert.equal(await cluster.kubectlOk('get', 'namespaces', '-l', 'kubreak.io/drill', '-o', 'name'), '');
  });

  for (const name of ordered) {
    test(name, () => alone(async (cluster) => {
      const { report, printed } = await runDrill(cluster, name, { folder: join(reports, name) });
      assert.equal(report.status, 'passed', `${report.problem ?? ''}\n${printed.split('\n').slice(-LAST_LINES).join('\n')}`);
    }));
  }

  test('those that stay in their own namespace run side by side, and each has a page', () => alone(async (cluster) => {
    const folder = join(reports, 'side-by-side');
    const { code, stdout, stderr } = await cluster.kubreak(['drill', 'run', ...sideBySide, '--parallel', '--report-dir', folder], { timeoutMs: 300_000 });
    assert.equal(code, 0, `${stdout}${stderr}`);
    const { drills } = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as { drills: DrillReport[] };
    assert.deepEqual(drills.map(({ drill, status }) => `${drill} ${status}`), sideBySide.map((name) => `${name} passed`));
    const [first, second] = drills.map(({ startedAt, durationMs }) => ({ fromMs: Date.parse(startedAt), toMs: Date.parse(startedAt) + durationMs }));
    assert.ok(first && second && first.fromMs < second.toMs && second.fromMs < first.toMs, 'one after the other');
    assert.match(readFileSync(join(folder, 'junit.xml'), 'utf8'), /<testsuites name="kubreak drills" tests="\d+" failures="0" errors="0" skipped="0"/);
    for (const { drill } of drills) assert.ok(existsSync(join(folder, `${drill}.html`)));
  }));

  test('without its fault a drill fails at what it expects', () => alone(async (cluster) => {
    const { report } = await runDrill(cluster, 'etcd-disk-slow', { folder: join(reports, 'without-fault'), isWithoutFault: true });
    assert.equal(selfCheckProblem(report), undefined);
    assert.equal(report.steps.find(({ status }) => status === 'failed')?.number, 3);
  }));

  test('a drill that the cluster is not made for is skipped, and the exit code says so', () => alone(async (cluster) => {
    const { code, stdout } = await cluster.kubreak(['drill', 'run', cluster.writeFile('big.yaml', 'name: big\ntitle: x\ndescription: x\nrequires: { masters: 3 }\nsteps:\n  - fault: kill etcd\n  - expect: pods\n    count: 1\n')]);
    assert.match(stdout, /big: skipped: needs 3 masters \(there is one/);
    assert.equal(code, 4);
  }));

  test('when somebody ends a drill, what it broke is mended and what it made is deleted', () => alone(async (cluster) => {
    const file = cluster.writeFile('endless.yaml', `name: endless
title: Waits
description: For somebody to end it.
steps:
  - command: kubectl create configmap mine
  - fault: pause scheduler
  - command: echo lost > /root/endless
    on: w1-k8s
    is-fault: true
    undo: rm /root/endless
  - expect: configmap/mine
    exists: true
    stays: 10m
`);
    const child = spawn(process.execPath, [KUBREAK, '--dir', cluster.folder, 'drill', 'run', file], { stdio: ['ignore', 'pipe', 'inherit'] });
    let printed = '';
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    await until('the drill waits', async () => printed.includes('4/4 '));
    assert.match((await cluster.kubreak(['faults'])).stdout, /pause scheduler/);
    child.kill('SIGINT');
    assert.equal(await ended, 130, printed);
    assert.match(printed, /mended: pause scheduler/);
    assert.notEqual((await cluster.on('w1-k8s', 'test', '-e', '/root/endless')).code, 0);
  }));
});
