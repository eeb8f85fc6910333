// A balancer of TCP connections for the API servers of a cluster: clients are joined, byte for byte, to a server that says
// it is ready. A server that stops saying so, or stops answering, loses its connections at once: its clients find
// themselves cut off and connect anew, instead of waiting on a connection that nobody serves.
import { connect, type Socket } from 'node:net';
import type { Clock } from '#lib/environment/clock.ts';
import type { Random } from '#lib/environment/random.ts';
import { inOrderOfChoice, toBeLeft, type Address, type Health } from './backends.ts';
import { joinSockets } from './join-sockets.ts';

/** Milliseconds. */
export interface ProbeTiming {
  /** From one question to the next. */
  readonly periodMs: number;
  /** A server that has not answered for this long gets no clients while others are ready. */
  readonly slowMs: number;
  /** One that has not answered for this long is down. */
  readonly deadlineMs: number;
}
/** An API server waits 2 s for its etcd before it says that it is not ready: the deadline leaves it time to say so. */
const PROBE_TIMING: ProbeTiming = { periodMs: 1_000, slowMs: 2_000, deadlineMs: 3_000 };
/** When this process itself was held up, answers that have come meanwhile are looked at before a server counts as slow; milliseconds. */
const GRACE_MS = 50;
/** To be connected to a server; then the next one is tried; milliseconds. */
const CONNECT_TIMEOUT_MS = 1_000;

/** Asks a server how it is. Rejects when `signal` aborts; `down` for one that cannot be reached. */
export type Probe = (address: Address, signal: AbortSignal) => Promise<Health>;

export interface TcpBalancerOptions {
  readonly addresses: readonly Address[];
  /** One for each address. */
  readonly newProbe: () => Probe;
  readonly clock: Clock;
  readonly random: Random;
  readonly timing?: ProbeTiming;
  readonly onHealth?: (address: Address, health: Health) => void;
}

class Backend {
  readonly address: Address;
  health: Health = 'down';
  readonly sockets = new Set<Socket>();
  constructor(address: Address) {
    this.address = address;
  }
  get connections(): number {
    return this.sockets.size;
  }
}

export class TcpBalancer {
  readonly #options: TcpBalancerOptions;
  readonly #backends: readonly Backend[];

  constructor(options: TcpBalancerOptions) {
    this.#options = options;
    this.#backends = options.addresses.map((address) => new Backend(address));
  }

  healthOf({ host, port }: Address): Health {
    return this.#backends.find(({ address }) => address.host === host && address.port === port)?.health ?? 'down';
  }

  /** Probes all servers until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#backends.map((backend) => this.#watch(backend, this.#options.newProbe(), signal)));
  }

  /** Joins a client, which must be allowed to be half open, to a server; hangs up when none can be reached. */
  async serve(client: Socket): Promise<void> {
    let hasLeft = false;
    const leave = (): void => {
      hasLeft = true;
    };
    client.on('error', leave).on('close', leave);
    client.pause();
    for (const backend of inOrderOfChoice(this.#backends, this.#options.random)) {
      const server = await connected(backend.address);
      if (hasLeft) return void server?.destroy();
      if (!server) continue;
      backend.sockets.add(server);
      server.once('close', () => backend.sockets.delete(server));
      joinSockets(client, server);
      return;
    }
    client.destroy();
  }

  async #watch(backend: Backend, probe: Probe, signal: AbortSignal): Promise<void> {
    const { clock, timing: { periodMs } = PROBE_TIMING } = this.#options;
    while (!signal.aborted) {
      const startedMs = clock.nowMs();
      const health = await this.#ask(backend, probe, signal);
      if (signal.aborted) return;
      this.#change(backend, health);
      await clock.sleep(Math.max(0, startedMs + periodMs - clock.nowMs()), signal).catch(() => undefined);
    }
  }

  async #ask(backend: Backend, probe: Probe, signal: AbortSignal): Promise<Health> {
    const { clock, timing: { slowMs, deadlineMs } = PROBE_TIMING } = this.#options;
    const tooLate = new AbortController();
    const answered = new AbortController();
    const losingPatience = (async () => {
      await clock.sleep(slowMs - GRACE_MS, answered.signal);
      await clock.sleep(GRACE_MS, answered.signal);
      if (backend.health === 'ready') this.#change(backend, 'alive');
      await clock.sleep(deadlineMs - slowMs, answered.signal);
      tooLate.abort();
    })().catch(() => undefined); // it has answered
    try {
      return await probe(backend.address, AbortSignal.any([signal, tooLate.signal]));
    } catch {
      return 'down'; // it has not
    } finally {
      answered.abort();
      await losingPatience;
    }
  }

  #change(backend: Backend, health: Health): void {
    if (backend.health === health) return;
    backend.health = health;
    this.#options.onHealth?.(backend.address, health);
    for (const { sockets } of toBeLeft(this.#backends)) for (const socket of sockets) socket.destroy();
  }
}

function connected({ host, port }: Address): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
    const giveUp = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(undefined);
    };
    const timer = setTimeout(giveUp, CONNECT_TIMEOUT_MS);
    socket.once('error', giveUp);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', giveUp);
      resolve(socket);
    });
  });
}
