// Asks other name servers. One that did not answer in time or refused the connection is passed over for a while.
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect, isIP } from 'node:net';
import type { Clock } from '#lib/environment/clock.ts';
import { integerBelow, type Random } from '#lib/environment/random.ts';
import { isInZone, type ForwardConfig } from '../core/configuration.ts';
import { failureReply, type Question, type Reply } from '../core/message.ts';
import { decodeAnswer, encodeQuestion } from './wire.ts';

/** Wait for one server, and for all of them together; milliseconds. Source: CoreDNS plugin/forward. */
export const READ_TIMEOUT_MS = 2_000;
const DEADLINE_MS = 5_000;
/** Failures in a row after which a server is asked last, and for how long. */
const MAX_FAILS = 2;
const REST_MS = 500;
/**
 * Time for which a server is not asked at all after its host said that nobody listens there. Hosts say so once a second
 * only (net.ipv4.icmp_ratelimit): asking more often would mean waiting for the timeout.
 */
const REFUSED_REST_MS = 1_500;

interface Upstream {
  readonly host: string;
  readonly port: number;
  failures: number;
  restsUntilMs: number;
  refusesUntilMs: number;
}

export class Forwarder {
  readonly config: ForwardConfig;
  readonly #upstreams: Upstream[];
  readonly #clock: Clock;
  readonly #random: Random;
  #turn = 0;
  #underWay = 0;

  /** Reads the files among the targets; a file without name servers gives none. */
  constructor(config: ForwardConfig, { clock, random }: { clock: Clock; random: Random }) {
    this.config = config;
    this.#clock = clock;
    this.#random = random;
    this.#upstreams = config.to.flatMap(upstreamsOf);
  }

  get upstreams(): readonly string[] {
    return this.#upstreams.map(({ host, port }) => `${host}:${port}`);
  }

  takes(name: string): boolean {
    return isInZone(name, this.config.from) && !this.config.except.some((zone) => isInZone(name, zone));
  }

  /** Never rejects: what cannot be answered is SERVFAIL, or REFUSED when too many questions are under way. */
  async ask(question: Question, transport: 'udp' | 'tcp'): Promise<Reply> {
    const { maxConcurrent, forceTcp, preferUdp } = this.config;
    if (this.#upstreams.length === 0) return failureReply('SERVFAIL');
    if (maxConcurrent > 0 && this.#underWay >= maxConcurrent) return failureReply('REFUSED');
    this.#underWay += 1;
    const endMs = this.#clock.nowMs() + DEADLINE_MS;
    const way = forceTcp ? 'tcp' : preferUdp ? 'udp' : transport;
    try {
      // Each server once, and once more after all failed: a lost packet is not a dead server.
      const order = this.#order();
      for (const upstream of [...order, ...order]) {
        const timeoutMs = Math.min(READ_TIMEOUT_MS, endMs - this.#clock.nowMs());
        if (timeoutMs <= 0) break;
        if (upstream.refusesUntilMs > this.#clock.nowMs()) continue;
        const received = await exchange(upstream, question, way, { timeoutMs, id: integerBelow(this.#random, 65_536) });
        if (received === 'refused') {
          upstream.refusesUntilMs = this.#clock.nowMs() + REFUSED_REST_MS;
          continue;
        }
        if (received) {
          upstream.failures = 0;
          return received;
        }
        upstream.failures += 1;
        if (upstream.failures >= MAX_FAILS) upstream.restsUntilMs = this.#clock.nowMs() + REST_MS;
      }
      return failureReply('SERVFAIL');
    } finally {
      this.#underWay -= 1;
    }
  }

  /** By policy; servers at rest come last, for when there is no other. */
  #order(): Upstream[] {
    const all = [...this.#upstreams];
    if (this.config.policy !== 'sequential') {
      const first = this.config.policy === 'random' ? integerBelow(this.#random, all.length) : this.#turn++ % all.length;
      all.push(...all.splice(0, first));
    }
    const nowMs = this.#clock.nowMs();
    return [...all.filter(({ restsUntilMs }) => restsUntilMs <= nowMs), ...all.filter(({ restsUntilMs }) => restsUntilMs > nowMs)];
  }
}

function upstreamsOf(target: string): Upstream[] {
  const address = target.replace(/^dns:\/\//, '');
  const [, host = '', port] = isIP(address) === 6 ? [undefined, address] : (/^\[?([0-9a-fA-F:.]+?)\]?(?::(\d+))?$/.exec(address) ?? []);
  if (isIP(host) !== 0) return [{ host, port: port === undefined ? 53 : Number(port), failures: 0, restsUntilMs: 0, refusesUntilMs: 0 }];
  return [...readFileSync(target, 'utf8').matchAll(/^\s*nameserver\s+(\S+)/gm)].flatMap(([, name = '']) => (isIP(name.split('%')[0] ?? '') === 0 ? [] : [{ host: name, port: 53, failures: 0, restsUntilMs: 0, refusesUntilMs: 0 }]));
}

interface Attempt {
  readonly timeoutMs: number;
  readonly id: number;
}

/** `refused`: nobody listens there. Undefined: no usable answer in time. */
type Received = ReturnType<typeof decodeAnswer> | 'refused' | undefined;

async function exchange(upstream: Upstream, question: Question, transport: 'udp' | 'tcp', attempt: Attempt): Promise<Reply | 'refused' | undefined> {
  const reply = await (transport === 'udp' ? askByUdp : askByTcp)(upstream, question, attempt);
  if (reply === undefined || reply === 'refused' || !reply.isTruncated) return reply;
  const whole = await askByTcp(upstream, question, attempt);
  return whole === undefined || whole === 'refused' ? reply : whole;
}

const failureOf = (error: NodeJS.ErrnoException): Received => (error.code === 'ECONNREFUSED' ? 'refused' : undefined);

function askByUdp({ host, port }: Upstream, question: Question, { timeoutMs, id }: Attempt): Promise<Received> {
  return new Promise((resolve) => {
    // A socket of its own for each question: its random port is part of what a forger would have to guess.
    const socket = createSocket(isIP(host) === 6 ? 'udp6' : 'udp4');
    const finish = (reply: Received): void => {
      clearTimeout(timer);
      socket.removeAllListeners().on('error', () => undefined);
      socket.close();
      resolve(reply);
    };
    const timer = setTimeout(() => finish(undefined), timeoutMs);
    socket.on('error', (error) => finish(failureOf(error)));
    socket.on('message', (message) => {
      const reply = tryDecode(message, { id, question });
      if (reply) finish(reply); // anything else may be forged: the true answer may still come
    });
    socket.connect(port, host, () => socket.send(encodeQuestion({ id, question })));
  });
}

function askByTcp({ host, port }: Upstream, question: Question, { timeoutMs, id }: Attempt): Promise<Received> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    let received = Buffer.alloc(0);
    const finish = (reply: Received): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(reply);
    };
    const timer = setTimeout(() => finish(undefined), timeoutMs);
    socket.on('error', (error) => finish(failureOf(error))).on('close', () => finish(undefined));
    socket.on('connect', () => {
      const message = encodeQuestion({ id, question });
      const length = Buffer.alloc(2);
      length.writeUInt16BE(message.length);
      socket.write(Buffer.concat([length, message]));
    });
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      finish(tryDecode(received.subarray(2, 2 + received.readUInt16BE(0)), { id, question }));
    });
  });
}

function tryDecode(message: Buffer, expected: { readonly id: number; readonly question: Question }): ReturnType<typeof decodeAnswer> | undefined {
  try {
    return decodeAnswer(message, expected);
  } catch {
    return undefined; // malformed, or for somebody else
  }
}
