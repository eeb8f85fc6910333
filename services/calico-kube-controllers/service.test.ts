import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import pino from 'pino';
import { systemClock } from '#lib/environment/clock.ts';
import { systemRandom } from '#lib/environment/random.ts';
import { parseFlags } from '#lib/service/flags.ts';
import { eventually } from '#lib/testing/eventually.ts';
import { ObjectServer } from '#lib/testing/object-server.ts';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';
import { calicoKubeControllersFlags } from './flags.ts';
import { startCalicoKubeControllers } from './service.ts';

test('blocks of a deleted node are released, those of others stay', async () => {
  const api = new ObjectServer();
  const server = await api.start();
  const kubeconfig = `${scratchFolder('kube-controllers')}/kubeconfig`;
  writeFileSync(kubeconfig, `current-context: c\nclusters: [{name: c, cluster: {server: "${server}"}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n`);
  const affinities = '/apis/crd.projectcalico.org/v1/blockaffinities';
  for (const node of ['w1', 'w2']) {
    api.put(`/api/v1/nodes/${node}`, { kind: 'Node' });
    api.put(`${affinities}/${node}-10-0-0-0-26`, { spec: { cidr: '10.0.0.0/26', deleted: 'false', node, state: 'confirmed', type: 'host' } });
  }
  const stopping = new AbortController();
  const flags = parseFlags(calicoKubeControllersFlags, [`--kubeconfig=${kubeconfig}`, '--emulator-health-address=127.0.0.1', '--emulator-health-port=0']);
  const running = startCalicoKubeControllers(flags, {}, { clock: systemClock, random: systemRandom, log: pino({ level: 'silent' }) }, stopping.signal);
  api.remove('/api/v1/nodes/w2');
  await eventually(() => api.get(`${affinities}/w2-10-0-0-0-26`) === undefined, { what: 'release of the block' });
  assert.ok(api.get(`${affinities}/w1-10-0-0-0-26`));
  stopping.abort();
  await running;
  await api.stop();
});
