// gRPC service Watch: feeds each client's stream from its WatchStream, as fast as the client reads.
import type { Clock } from '#lib/environment/clock.ts';
import { jitterMs, type Random } from '#lib/environment/random.ts';
import type { WatchRequest, WatchResponse } from '#lib/etcd-api/messages.ts';
import { watchService } from '#lib/etcd-api/services.ts';
import type { StreamCall } from '#lib/grpc/call.ts';
import { goNameOf } from '#lib/grpc/status.ts';
import { withAbort } from '#lib/service/abort.ts';
import { NOBODY } from '../core/auth/commands.ts';
import { refusedWatch, WatchStream } from '../core/watch-stream.ts';
import { inEtcdsWords, type Authenticator } from './authenticator.ts';
import { asRefusal, bidiMethod, callerOf, type CallContext, type GrpcService } from './grpc-server.ts';
import type { Member } from './member.ts';

export interface WatchOptions extends CallContext {
  readonly member: Member;
  readonly authenticator: Authenticator;
  readonly clock: Clock;
  readonly random: Random;
  readonly progressIntervalMs: number;
  readonly maxRequestBytes: number;
  readonly signal: AbortSignal;
}

type WatchCall = StreamCall<WatchRequest, WatchResponse>;

/** Source: etcd, minWatchProgressInterval. */
const MIN_PROGRESS_INTERVAL_MS = 100;

export class WatchService {
  readonly methods: GrpcService;
  private readonly options: WatchOptions;
  private readonly streams = new Set<WatchStream>();

  constructor(options: WatchOptions) {
    this.options = options;
    this.methods = [bidiMethod(watchService.Watch, (call) => this.serve(call), options)];
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

  /** The member's store was replaced. */
  useStore(): void {
    for (const stream of this.streams) stream.useStore(this.options.member.store);
  }

  private async serve(call: WatchCall): Promise<void> {
    const { member, maxRequestBytes, signal } = this.options;
    const stream = new WatchStream(member.store, maxRequestBytes);
    this.streams.add(stream);
    try {
      await withAbort(signal, async (ended) => {
        const end = (): void => ended.abort();
        call.signal.addEventListener('abort', end, { once: true });
        await new StreamFeeder(call, stream, this.options, ended).run();
      });
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
  private failure: unknown;
  private readonly ended: AbortController;

  /** `ended` aborts when the client or the service goes, and is aborted here when the client has no more to ask. */
  constructor(call: WatchCall, stream: WatchStream, options: WatchOptions, ended: AbortController) {
    this.call = call;
    this.stream = stream;
    this.options = options;
    this.ended = ended;
    this.signal = ended.signal;
  }

  async run(): Promise<void> {
    const { member } = this.options;
    const stopListening = member.onAdvance(() => this.poke());
    this.signal.addEventListener('abort', () => this.poke(), { once: true });
    void this.receiveAll();
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
    if (this.failure !== undefined) throw this.failure;
  }

  private poke(): void {
    this.hasWork = true;
    this.wake();
  }

  /** Requests are taken up in their order, and none while the client does not read the answers. */
  private async receiveAll(): Promise<void> {
    try {
      for await (const request of this.call.requests) {
        if (this.options.authenticator.isEnabled) await this.receiveFromUser(request);
        else this.receive(request);
        await this.call.drained();
        if (this.signal.aborted) return;
      }
    } catch (error) {
      if (!this.call.isCancelled) this.failure = error;
    } finally {
      this.ended.abort();
    }
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
      const refusal = asRefusal(error, watchService.Watch.path, log);
      this.write(refusedWatch(member.revision, `rpc error: code = ${goNameOf(refusal.code)} desc = ${refusal.message}`));
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
      if (!this.write(response)) await this.call.drained();
    }
  }

  /** False when the client does not keep up. */
  private write(response: WatchResponse): boolean {
    if (this.signal.aborted) return true;
    if (response.header !== undefined) this.options.member.complete(response.header);
    return this.call.send(response);
  }
}
