// A relay that hands on what it gets after a while: what a long way is, for connections of programs that know nothing of it.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { SlowRelay } from './spec.ts';

/** Bytes on the way in one direction of a connection, beyond which no more is taken. */
const MOST_ON_THE_WAY = 4 * 1024 * 1024;

export interface Timing {
  readonly delayMs: number;
  readonly jitterMs: number;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly nowMs: () => number;
}

/** When a piece is due that comes now: never before one that came earlier, as TCP has it. */
export class DueTimes {
  readonly #timing: Timing;
  #lastMs = 0;
  constructor(timing: Timing) {
    this.#timing = timing;
  }
  next(): number {
    const { delayMs, jitterMs, random, nowMs } = this.#timing;
    this.#lastMs = Math.max(this.#lastMs, nowMs() + Math.max(0, delayMs + jitterMs * (2 * random() - 1)));
    return this.#lastMs;
  }
}

/** One direction: ends and half-closed ends take as long as bytes. */
export function pipeSlowly(from: Socket, to: Socket, timing: Timing): void {
  const due = new DueTimes(timing);
  // In one line, whatever timers do: they are rounded to milliseconds.
  const line: { readonly dueMs: number; readonly work: () => void }[] = [];
  let onTheWay = 0;
  const workOff = (): void => {
    for (let next = line[0]; next; next = line[0]) {
      const leftMs = next.dueMs - timing.nowMs();
      if (leftMs > 0) {
        setTimeout(workOff, Math.ceil(leftMs));
        return;
      }
      line.shift();
      if (!to.destroyed) next.work();
    }
  };
  const later = (work: () => void): void => {
    line.push({ dueMs: due.next(), work });
    if (line.length === 1) workOff();
  };
  from.on('data', (chunk: Buffer) => {
    onTheWay += chunk.length;
    if (onTheWay > MOST_ON_THE_WAY) from.pause();
    later(() => {
      to.write(chunk, () => {
        onTheWay -= chunk.length;
        if (onTheWay <= MOST_ON_THE_WAY) from.resume();
      });
    });
  });
  from.on('end', () => later(() => to.end()));
  from.on('error', () => later(() => to.destroy()));
  from.on('close', () => {
    if (!from.readableEnded) later(() => to.destroy());
  });
}

/** Resolves with its port. */
export async function serveSlowly(address: string, { toPort, delayMs, jitterMs }: SlowRelay): Promise<number> {
  const timing: Timing = { delayMs, jitterMs, random: Math.random, nowMs: () => performance.now() };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const target = connect({ host: address, port: toPort, allowHalfOpen: true, noDelay: true });
    pipeSlowly(client, target, timing);
    pipeSlowly(target, client, timing);
  });
  server.listen(0, address);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
