// From the kill of the leader of three to the first write that is acknowledged again: `npm run build && npx tsx bench/etcd-failover.ts [--etcd=PATH]`.
// Ours and the real one in turn, each time on new processes with etcd's usual times; the other two are asked for a put every 50 ms until one is acknowledged.
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { kvService, maintenanceService } from '#lib/etcd-api/services.ts';
import { LeanClient } from './etcd-client.ts';
import { OURS, Running, sleep, type Server } from './etcd-members.ts';

const { values: options } = parseArgs({
  options: { 'etcd': { type: 'string', default: 'etcd' }, 'ours': { type: 'string', default: OURS }, 'dir': { type: 'string', default: tmpdir() }, 'rounds': { type: 'string', default: '10' } },
});
const WRITES_BEFORE = 200;
const AGAIN_MS = 50;
const DEADLINE_MS = 60_000;

async function leads(port: number): Promise<boolean> {
  const client = await LeanClient.open(port);
  const { leader, header } = await client.call(maintenanceService.Status, {});
  client.close();
  return leader === header?.memberId;
}

/** Resolves once a put was acknowledged; false when it was refused. */
async function putOnce(port: number, clients: LeanClient[]): Promise<boolean> {
  const client = await LeanClient.open(port);
  clients.push(client);
  return client.call(kvService.Put, { key: 'after', value: 'v' }).then(() => true, () => false);
}

/** Resolves with the milliseconds until a put was acknowledged. A new one is asked for again and again, as a member may keep one waiting that is lost. */
async function untilAcknowledged(ports: readonly number[], startMs: number): Promise<number> {
  const clients: LeanClient[] = [];
  let tookMs = 0;
  while (tookMs === 0 && performance.now() - startMs < DEADLINE_MS) {
    for (const port of ports) {
      void putOnce(port, clients).then((isDone) => {
        if (isDone && tookMs === 0) tookMs = performance.now() - startMs;
      });
    }
    await sleep(AGAIN_MS);
  }
  for (const client of clients) client.close();
  if (tookMs === 0) throw new Error('no write was acknowledged');
  return tookMs;
}

async function round(server: Server): Promise<number> {
  const running = await Running.start(server, { members: 3, dir: options.dir });
  try {
    const client = await LeanClient.open(running.port);
    for (let write = 0; write < WRITES_BEFORE; write += 1) await client.call(kvService.Put, { key: 'before', value: String(write) });
    client.close();
    const areLeading = await Promise.all(running.ports.map(leads));
    const leader = areLeading.indexOf(true);
    const startMs = performance.now();
    running.kill(leader);
    return await untilAcknowledged(running.ports.filter((_, at) => at !== leader), startMs);
  } finally {
    await running.stop();
  }
}

const servers: readonly Server[] = [{ name: 'ours', command: [process.execPath, options.ours] }, { name: 'etcd', command: [options.etcd] }];
const times = servers.map((): number[] => []);
for (let at = 0; at < Number(options.rounds); at += 1) for (const [index, server] of servers.entries()) times[index]?.push(await round(server));
for (const [index, { name }] of servers.entries()) {
  const sorted = times[index]?.sort((a, b) => a - b) ?? [];
  console.log(`${name}: median ${sorted[Math.floor(sorted.length / 2)]?.toFixed(0)} ms of ${sorted.map((ms) => ms.toFixed(0)).join(' ')}`);
}
