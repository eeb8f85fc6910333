// Listens for questions by UDP and TCP on one port.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import type { Logger } from 'pino';
import { failureReply, type Question } from '../core/message.ts';
import type { DnsMetrics } from './metrics.ts';
import type { Resolved, Resolver } from './resolver.ts';
import { decodeRequest, encodeReply, type Request } from './wire.ts';

/** Open TCP connections; more are closed at once. */
const TCP_CONNECTIONS_LIMIT = 1000;
/** A TCP connection without a question for so long is closed; milliseconds. Source: miekg/dns, 8 s. */
const TCP_IDLE_MS = 8_000;
/** Questions under way that came by UDP; more are dropped, and their clients ask again. */
const UDP_UNDER_WAY_LIMIT = 5_000;
const RECEIVE_BUFFER_BYTES = 1024 * 1024;

export interface DnsServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Asked for every question, so that a new configuration takes effect without a new socket. */
  readonly resolver: () => Resolver;
  readonly onQuestion: (question: Question) => void;
  readonly metrics: DnsMetrics;
  readonly log: Logger;
}

export class DnsServer {
  readonly #options: DnsServerOptions;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  #underWay = 0;
  #port: number;

  constructor(options: DnsServerOptions) {
    this.#options = options;
    this.#port = options.port;
    this.#udp = createSocket({ type: options.host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: RECEIVE_BUFFER_BYTES });
    this.#udp.on('message', (message, { port, address }) => {
      if (this.#underWay >= UDP_UNDER_WAY_LIMIT) return;
      this.#answer(message, 'udp', address, (answer) => this.#udp.send(answer, port, address, () => undefined));
    });
    this.#tcp = createServer((socket) => this.#serve(socket));
    this.#tcp.maxConnections = TCP_CONNECTIONS_LIMIT;
  }

  get port(): number {
    return this.#port;
  }

  /** Rejects when the address is taken. */
  async listen(): Promise<void> {
    const { host } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#tcp.once('error', reject);
      this.#tcp.listen(this.#port, host, () => resolve());
    });
    const address = this.#tcp.address();
    if (typeof address === 'object' && address) this.#port = address.port;
    await new Promise<void>((resolve, reject) => {
      this.#udp.once('error', reject);
      this.#udp.bind(this.#port, host, () => resolve());
    });
    for (const socket of [this.#udp, this.#tcp]) socket.on('error', (error) => this.#options.log.error({ err: error }, 'DNS socket failed'));
  }

  close(): void {
    this.#udp.close();
    this.#tcp.close();
  }

  #serve(socket: Socket): void {
    let received = Buffer.alloc(0);
    socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const message = received.subarray(2, 2 + received.readUInt16BE(0));
        received = received.subarray(2 + message.length);
        this.#answer(message, 'tcp', socket.remoteAddress ?? '', (answer) => {
          const framed = Buffer.allocUnsafe(answer.length + 2);
          framed.writeUInt16BE(answer.length);
          answer.copy(framed, 2);
          // A client that asks but does not read is cut off rather than remembered.
          if (!socket.destroyed && !socket.write(framed) && socket.writableLength > 1024 * 1024) socket.destroy();
        });
      }
    });
  }

  #answer(message: Buffer, transport: 'udp' | 'tcp', client: string, send: (answer: Buffer) => void): void {
    const startedMs = performance.now();
    const decoded = decodeRequest(message);
    if (decoded.kind === 'noise') return;
    if (decoded.kind === 'refuse') return send(decoded.answer);
    const { request } = decoded;
    this.#options.onQuestion(request.question);
    const finish = (resolved: Resolved): void => {
      const answer = encodeReply(request, resolved.reply, transport);
      send(answer);
      this.#record(request, resolved, { transport, client, seconds: (performance.now() - startedMs) / 1000, responseBytes: answer.length });
    };
    try {
      const resolved = this.#options.resolver().resolve(request.question, transport);
      if (!(resolved instanceof Promise)) return finish(resolved);
      this.#underWay += 1;
      resolved.then(finish).catch((error: unknown) => this.#failed(request, error, transport, send)).finally(() => (this.#underWay -= 1));
    } catch (error) {
      this.#failed(request, error, transport, send);
    }
  }

  /** A bug in answering one question must not take the others down. */
  #failed(request: Request, error: unknown, transport: 'udp' | 'tcp', send: (answer: Buffer) => void): void {
    this.#options.metrics.panics.inc();
    this.#options.log.error({ err: error, name: request.question.name, type: request.question.type }, 'cannot answer');
    send(encodeReply(request, failureReply('SERVFAIL'), transport));
  }

  #record({ id, question }: Request, { reply, zone, plugin }: Resolved, { transport, client, seconds, responseBytes }: { transport: 'udp' | 'tcp'; client: string; seconds: number; responseBytes: number }): void {
    const { metrics, log, resolver } = this.#options;
    metrics.observe({ server: `dns://:${this.#port}`, zone, transport, type: question.type, plugin, rcode: reply.rcode, seconds, responseBytes });
    const config = resolver().configOf(question);
    if (config?.logsQueries) log.info({ client, id, name: question.name, type: question.type, transport, rcode: reply.rcode, bytes: responseBytes, seconds }, 'answered');
    else if (config?.logsErrors && reply.rcode === 'SERVFAIL' && plugin === 'forward') log.debug({ name: question.name, type: question.type }, 'no upstream answered');
  }
}
