import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { systemClock } from '#lib/environment/clock.ts';
import { seededRandom } from '#lib/environment/random.ts';
import { inOrderOfChoice, toBeLeft, type Address, type Health } from './backends.ts';
import { TcpBalancer } from './tcp-balancer.ts';

const ended = new AbortController();
const servers: Server[] = [];
const sockets: Socket[] = [];
after(() => {
  ended.abort();
  for (const server of servers) server.close();
  for (const socket of sockets) socket.destroy();
});

async function listening(onConnection: (socket: Socket) => void): Promise<Address> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    sockets.push(socket);
    onConnection(socket);
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

/** Each server greets with its name; how it is, the test says. */
async function balanced(names: readonly string[]) {
  const health = new Map<number, Health | 'silent'>();
  const open: Socket[] = [];
  const addresses = new Map<string, Address>();
  for (const name of names) addresses.set(name, await listening((socket) => {
    open.push(socket);
    socket.write(name);
  }));
  const balancer = new TcpBalancer({
    addresses: [...addresses.values()], clock: systemClock, random: seededRandom(1), timing: { periodMs: 10, slowMs: 100, deadlineMs: 200 },
    newProbe: () => ({ port }, signal) => new Promise((resolve, reject) => {
      const now = health.get(port) ?? 'down';
      if (now === 'silent') signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      else resolve(now);
    }),
  });
  void balancer.run(ended.signal);
  const entry = await listening((socket) => void balancer.serve(socket));
  const portOf = (name: string): number => addresses.get(name)?.port ?? 0;
  return {
    balancer, open,
    set: (name: string, now: Health | 'silent') => health.set(portOf(name), now),
    becomes: async (name: string, wanted: Health) => {
      while (balancer.healthOf({ host: '127.0.0.1', port: portOf(name) }) !== wanted) await systemClock.sleep(5);
    },
    client: async (): Promise<{ socket: Socket; server: string }> => {
      const socket = connect({ ...entry });
      const [greeting] = (await once(socket, 'data')) as [Buffer];
      return { socket, server: greeting.toString() };
    },
  };
}

test('the healthiest comes first, of these the one with fewest connections', () => {
  const backends: { name: string; health: Health; connections: number }[] = [
    { name: 'gone', health: 'down', connections: 0 }, { name: 'busy', health: 'ready', connections: 5 },
    { name: 'free', health: 'ready', connections: 1 }, { name: 'starting', health: 'alive', connections: 0 },
  ];
  assert.deepEqual(inOrderOfChoice(backends, seededRandom(7)).map(({ name }) => name), ['free', 'busy', 'starting', 'gone']);
  assert.deepEqual(toBeLeft(backends).map(({ name }) => name), ['gone', 'starting']);
});

test('while no server is ready nobody is taken from one that answers', () => {
  assert.deepEqual(toBeLeft([{ health: 'alive' as const, connections: 1 }, { health: 'alive' as const, connections: 1 }]), []);
});

test('bytes go both ways, and an end goes on to the other side', { timeout: 10_000 }, async () => {
  const { set, becomes, client, open } = await balanced(['a']);
  set('a', 'ready');
  await becomes('a', 'ready');
  const { socket } = await client();
  const [server] = open;
  assert.ok(server);
  socket.end('question');
  const [question] = (await once(server, 'data')) as [Buffer];
  assert.equal(question.toString(), 'question');
  await once(server, 'end');
  server.end('answer');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.equal(answer.toString(), 'answer');
});

test('clients spread over servers that are ready', { timeout: 10_000 }, async () => {
  const { set, becomes, client } = await balanced(['a', 'b', 'c']);
  for (const name of ['a', 'b', 'c']) set(name, 'ready');
  for (const name of ['a', 'b', 'c']) await becomes(name, 'ready');
  const clients = [await client(), await client(), await client()];
  assert.deepEqual(clients.map(({ server }) => server).sort(), ['a', 'b', 'c']);
  for (const { socket } of clients) socket.destroy();
});

test('a client is cut off when its server hangs, and finds another', { timeout: 10_000 }, async () => {
  const { set, becomes, client } = await balanced(['a', 'b']);
  set('a', 'ready');
  await becomes('a', 'ready');
  const first = await client();
  assert.equal(first.server, 'a');
  set('b', 'ready');
  await becomes('b', 'ready');
  const cut = once(first.socket, 'close');
  set('a', 'silent');
  await cut;
  assert.equal((await client()).server, 'b');
  await becomes('a', 'down');
  set('a', 'ready');
  await becomes('a', 'ready');
  assert.equal((await client()).server, 'a', 'healed, it has fewer connections');
});

test('a server that cannot be reached is passed over before anybody was probed', { timeout: 10_000 }, async () => {
  const closed = createServer();
  closed.listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const gone = { host: '127.0.0.1', port: (closed.address() as AddressInfo).port };
  await new Promise((resolve) => closed.close(resolve));
  const there = await listening((socket) => socket.write('there'));
  const balancer = new TcpBalancer({ addresses: [gone, gone, there], clock: systemClock, random: seededRandom(3), newProbe: () => () => Promise.resolve('down') });
  const entry = await listening((socket) => void balancer.serve(socket));
  const socket = connect({ ...entry });
  const [greeting] = (await once(socket, 'data')) as [Buffer];
  assert.equal(greeting.toString(), 'there');
});

test('a client hears at once that no server can be reached', { timeout: 10_000 }, async () => {
  const balancer = new TcpBalancer({ addresses: [{ host: '127.0.0.1', port: 1 }], clock: systemClock, random: seededRandom(3), newProbe: () => () => Promise.resolve('down') });
  const entry = await listening((socket) => void balancer.serve(socket));
  const socket = connect({ ...entry });
  socket.resume();
  await once(socket, 'close');
});
