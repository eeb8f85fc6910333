// gRPC service Watch: feeds each client's stream from its WatchStream, as fast as the client reads.
import { once } from 'node:events';
import { status, type ServerDuplexStream, type ServiceDefinition } from '@grpc/grpc-js';
import type { Clock } from '#lib/environment/clock.ts';
import { jitterMs, type Random } from '#lib/environment/random.ts';
import type { WatchRequest, WatchResponse } from '#lib/etcd-api/messages.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { watchService } from '#lib/etcd-api/services.ts';
import { NOBODY } from '../core/auth/commands.ts';
import { refusedWatch, WatchStream } from '../core/watch-stream.ts';
import { inEtcdsWords, type Authenticator } from './authenticator.ts';
import { asEtcdError, callerOf, type CallContext, type GrpcService } from './grpc-server.ts';
import type { Member } from './member.ts';
import { codeName } from './metrics.ts';

export interface WatchOptions extends CallContext {
  readonly member: Member;
  readonly authenticator: Authenticator;
  readonly clock: Clock;
  readonly random: Random;
  readonly progressIntervalMs: number;
  readonly maxRequestBytes: number;
  readonly signal: AbortSignal;
}

type WatchCall = ServerDuplexStream<WatchRequest, WatchResponse>;

/** Source: etcd, minWatchProgressInterval. */
const MIN_PROGRESS_INTERVAL_MS = 100;

export class WatchService implements GrpcService {
  readonly definition = watchService as unknown as ServiceDefinition;
  readonly implementation = { Watch: (call: WatchCall): void => void this.serve(call) };
  private readonly options: WatchOptions;
  private readonly streams = new Set<WatchStream>();

  constructor(options: WatchOptions) {
    this.options = options;
  }

  counts(): { streams: number; watchers: number; slow: number } {
    const { revision } = this.options.member;
    let watchers = 0;
    let slow = 0;
    for (const stream of this.streams) {
      watchers += stream.size;
      slow += stream.behind(revision);
    }
    return { streams: this.streams.size, watchers, slow };
  }

  private async serve(call: WatchCall): Promise<void> {
    const { member, metrics, log, maxRequestBytes, signal } = this.options;
    const finish = metrics.startCall('bidi_stream', 'etcdserverpb.Watch', 'Watch');
    const stream = new WatchStream(member.store, maxRequestBytes);
    this.streams.add(stream);
    const ended = new AbortController();
    const end = (): void => ended.abort();
    for (const event of ['end', 'error', 'cancelled', 'close']) call.on(event, end);
    try {
      await new StreamFeeder(call, stream, this.options, AbortSignal.any([ended.signal, signal])).run();
      finish(call.cancelled ? status.CANCELLED : status.OK);
      call.end();
    } catch (error) {
      const refusal = asEtcdError(error, watchService.Watch.path, log);
      finish(refusal.code);
      call.emit('error', refusal);
    } finally {
      this.streams.delete(stream);
    }
  }
}

/** The loop of one stream. Requests are answered at once; events follow when the client has room for them. */
class StreamFeeder {
  private readonly call: WatchCall;
  private readonly stream: WatchStream;
  private readonly options: WatchOptions;
  private readonly signal: AbortSignal;
  private wake: () => void = () => undefined;
  private hasWork = false;
  private progressWanted = false;
  /** Requests are taken up in their order, though some wait for their caller to be known. */
  private received: Promise<void> = Promise.resolve();

  constructor(call: WatchCall, stream: WatchStream, options: WatchOptions, signal: AbortSignal) {
    this.call = call;
    this.stream = stream;
    this.options = options;
    this.signal = signal;
  }

  async run(): Promise<void> {
    const { member } = this.options;
    const stopListening = member.onAdvance(() => this.poke());
    this.signal.addEventListener('abort', () => this.poke(), { once: true });
    this.call.on('data', (request: WatchRequest) => {
      if (!this.options.authenticator.isEnabled) this.receive(request);
      else this.received = this.received.then(() => this.receiveFromUser(request));
    });
    const notifying = this.notify();
    try {
      while (!this.signal.aborted) {
        while (!this.hasWork && !this.signal.aborted) await new Promise<void>((resolve) => { this.wake = resolve; });
        this.hasWork = false;
        await this.sendAll(this.stream.takeResponses(member.revision));
        await this.answerProgressRequest();
      }
    } finally {
      stopListening();
      await notifying;
    }
  }

  private poke(): void {
    this.hasWork = true;
    this.wake();
  }

  /** A watch that its caller may not have is refused; the stream goes on. */
  private async receiveFromUser(request: WatchRequest): Promise<void> {
    const { authenticator, member, log } = this.options;
    try {
      const { createRequest } = request;
      if (createRequest !== undefined) {
        const by = (await authenticator.identify(callerOf(this.call))) ?? NOBODY;
        inEtcdsWords(() => member.store.auth.checkRead(by, createRequest.key.length > 0 ? createRequest.key : Buffer.from([0]), createRequest.rangeEnd));
      }
      this.receive(request);
    } catch (error) {
      const refusal = error instanceof EtcdError ? error : asEtcdError(error, watchService.Watch.path, log);
      this.write(refusedWatch(member.revision, `rpc error: code = ${codeName(refusal.code)} desc = ${refusal.details}`));
    }
  }

  private receive({ createRequest, cancelRequest, progressRequest }: WatchRequest): void {
    const { revision } = this.options.member;
    if (createRequest) this.write(this.stream.create(createRequest, revision));
    else if (cancelRequest) {
      const response = this.stream.cancel(cancelRequest.watchId, revision);
      if (response) this.write(response);
    } else if (progressRequest) this.progressWanted = true;
    this.poke();
  }

  private async answerProgressRequest(): Promise<void> {
    if (!this.progressWanted) return;
    this.progressWanted = false;
    const response = this.stream.progress(this.options.member.revision);
    if (response) await this.sendAll([response]);
  }

  private async notify(): Promise<void> {
    const { clock, random, member } = this.options;
    const intervalMs = Math.max(this.options.progressIntervalMs, MIN_PROGRESS_INTERVAL_MS);
    while (!this.signal.aborted) {
      await clock.sleep(jitterMs(random, intervalMs, 0.1 * random.fraction()), this.signal).catch((error: unknown) => {
        if (!this.signal.aborted) throw error;
      });
      if (!this.signal.aborted) await this.sendAll(this.stream.takeNotifications(member.revision));
    }
  }

  private async sendAll(responses: Iterable<WatchResponse>): Promise<void> {
    for (const response of responses) {
      if (this.signal.aborted) return;
      this.options.metrics.countEvents(response.events.length);
      if (!this.write(response)) await this.untilDrained();
    }
  }

  /** False when the client does not keep up: no more requests are taken from it either until it does. */
  private write(response: WatchResponse): boolean {
    if (response.header !== undefined) this.options.member.complete(response.header);
    if (this.signal.aborted || !this.call.writable) return true;
    const hasRoom = this.call.write(response);
    if (!hasRoom && !this.call.isPaused()) {
      this.call.pause();
      this.call.once('drain', () => this.call.resume());
    }
    return hasRoom;
  }

  private async untilDrained(): Promise<void> {
    await once(this.call, 'drain', { signal: this.signal }).catch((error: unknown) => {
      if (!this.signal.aborted) throw error;
    });
  }
}
