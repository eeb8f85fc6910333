// Finds out whether forwarded questions come back: asks this server for a name that nobody else knows, and counts how
// often it is asked for it. Source: CoreDNS plugin/loop.
import { createSocket } from 'node:dgram';
import type { Random } from '#lib/environment/random.ts';
import { integerBelow } from '#lib/environment/random.ts';
import type { Question } from '../core/message.ts';
import { encodeQuestion } from './wire.ts';

/** Own question and one retry; more mean that an upstream leads back here. */
const SEEN_LIMIT = 2;
const LISTEN_MS = 30_000;

export class LoopCheck {
  readonly #name: string;
  readonly #onLoop: (name: string) => void;
  #seen = 0;
  #isListening = false;

  constructor(random: Random, onLoop: (name: string) => void) {
    const part = (): string => Array.from({ length: 19 }, () => integerBelow(random, 10)).join('');
    this.#name = `${part()}.${part()}`;
    this.#onLoop = onLoop;
  }

  start(host: string, port: number, signal: AbortSignal): void {
    this.#isListening = true;
    const socket = createSocket('udp4');
    const stop = (): void => {
      clearTimeout(timer);
      this.#isListening = false;
      signal.removeEventListener('abort', stop);
      socket.close();
    };
    const timer = setTimeout(stop, LISTEN_MS);
    timer.unref();
    signal.addEventListener('abort', stop, { once: true });
    socket.on('error', () => undefined); // without an answer there is no loop to be found either
    socket.send(encodeQuestion({ id: 1, question: { name: this.#name, type: 'HINFO', class: 'IN' } }), port, host === '0.0.0.0' ? '127.0.0.1' : host);
  }

  notice({ name, type }: Question): void {
    if (!this.#isListening || type !== 'HINFO' || name.toLowerCase() !== this.#name) return;
    this.#seen += 1;
    if (this.#seen > SEEN_LIMIT) this.#onLoop(this.#name);
  }
}
