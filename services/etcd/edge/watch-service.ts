// gRPC service Watch: feeds each client's stream from its WatchStream, as fast as the client reads.
import type { Clock } from '#lib/environment/clock.ts';
import { jitterMs, type Random } from '#lib/environment/random.ts';
import type { WatchRequest, WatchResponse } from '#lib/etcd-api/messages.ts';
import { etcdError } from '#lib/etcd-api/errors.ts';
import { watchService } from '#lib/etcd-api/services.ts';
import type { StreamCall } from '#lib/grpc/call.ts';
import { goNameOf } from '#lib/grpc/status.ts';
import { NOBODY } from '../core/auth/commands.ts';
import { refusedWatch, WatchStream } from '../core/watch-stream.ts';
import { inEtcdsWords, type Authenticator } from './authenticator.ts';
import { failPoint } from './fail-points.ts';
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
/** How long streams are fed before calls have their turn again: thousands of watches must not hold up a put. */
const SLICE_MS = 5;

export class WatchService {
  readonly methods: GrpcService;
  private readonly options: WatchOptions;
  private readonly feeders = new Set<StreamFeeder>();
  /** Those that may have something to send. */
  private readonly due = new Set<StreamFeeder>();
  private isScheduled = false;

  constructor(options: WatchOptions) {
    this.options = options;
    this.methods = [bidiMethod(watchService.Watch, (call) => this.serve(call), options)];
  }

  counts(): { streams: number; watchers: number; slow: number } {
    const { revision } = this.options.member;
    let watchers = 0;
    let slow = 0;
    for (const { stream } of this.feeders) {
      watchers += stream.size;
      slow += stream.behind(revision);
    }
    return { streams: this.feeders.size, watchers, slow };
  }

  /** The member's store was replaced. */
  useStore(): void {
    for (const { stream } of this.feeders) stream.useStore(this.options.member.store);
  }

  /**
   * Brings all watches whose client keeps up to the newest revision, at once: etcd tells those that are up to date of a change before the next
   * command is applied, so a compaction cannot cancel them.
   */
  catchUp(): void {
    for (const feeder of this.feeders) feeder.feed();
  }

  /** Runs until the service's signal aborts, and ends all streams then. */
  async run(): Promise<void> {
    const { clock, random, member, progressIntervalMs, signal } = this.options;
    const stopListening = member.onAdvance(() => {
      for (const feeder of this.feeders) this.due.add(feeder);
      this.schedule();
    });
    const intervalMs = Math.max(progressIntervalMs, MIN_PROGRESS_INTERVAL_MS);
    while (!signal.aborted) {
      await clock.sleep(jitterMs(random, intervalMs, 0.1), signal).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
      if (!signal.aborted) for (const feeder of this.feeders) feeder.notify();
    }
    stopListening();
    for (const feeder of this.feeders) feeder.stop();
  }

  private async serve(call: WatchCall): Promise<void> {
    const feeder = new StreamFeeder(call, this.options, (due) => {
      this.due.add(due);
      this.schedule();
    });
    this.feeders.add(feeder);
    try {
      await feeder.run();
    } finally {
      this.feeders.delete(feeder);
      this.due.delete(feeder);
    }
  }

  private schedule(): void {
    if (this.isScheduled || this.due.size === 0) return;
    this.isScheduled = true;
    setImmediate(() => this.feed());
  }

  private feed(): void {
    this.isScheduled = false;
    const endMs = performance.now() + SLICE_MS;
    for (const feeder of this.due) {
      this.due.delete(feeder);
      feeder.feed();
      if (performance.now() > endMs) break;
    }
    this.schedule();
  }
}

/** One stream. Requests are answered at once; events follow when the client has room for them. */
class StreamFeeder {
  readonly stream: WatchStream;
  private readonly call: WatchCall;
  private readonly options: WatchOptions;
  private readonly onDue: (feeder: StreamFeeder) => void;
  /** What is being sent; it is gone on with when the client has read. */
  private responses: Iterator<WatchResponse> | undefined;
  /** The revision up to which it goes. */
  private revision = 0;
  private isBlocked = false;
  private progressWanted = false;
  private isOver = false;
  private failure: unknown;
  private readonly over: Promise<void>;
  private resolveOver: () => void = () => undefined;

  constructor(call: WatchCall, options: WatchOptions, onDue: (feeder: StreamFeeder) => void) {
    this.call = call;
    this.options = options;
    this.onDue = onDue;
    this.stream = new WatchStream(options.member.store, options.maxRequestBytes);
    this.over = new Promise((resolve) => { this.resolveOver = resolve; });
  }

  /** Until the client or the service goes, or the client has no more to ask. */
  async run(): Promise<void> {
    void this.receiveAll();
    await this.over;
    if (this.failure !== undefined) throw this.failure;
  }

  /** The client goes on elsewhere, or here after a restart: a stream that ends without an error would mean that there is no more to come. */
  stop(): void {
    this.failure ??= etcdError('Stopped');
    this.end();
  }

  private end(): void {
    this.isOver = true;
    this.resolveOver();
  }

  /** Requests are taken up in their order, and none while the client does not read the answers. */
  private async receiveAll(): Promise<void> {
    try {
      for await (const request of this.call.requests) {
        if (this.options.authenticator.isEnabled) await this.receiveFromUser(request);
        else this.receive(request);
        await this.call.drained();
        if (this.isOver) return;
      }
    } catch (error) {
      if (!this.call.isCancelled) this.failure = error;
    } finally {
      this.end();
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
    this.onDue(this);
  }

  /** Sends what there is, as far as the client has room. */
  feed(): void {
    while (!this.isBlocked && !this.isOver) {
      this.responses ??= this.responsesNow();
      const next = this.responses.next();
      if (next.done === true) {
        this.responses = undefined;
        if (this.revision === this.options.member.revision) return; // else there is more since
        continue;
      }
      const held = failPoint('beforeSendWatchResponse');
      if (held !== undefined) return void this.sendAfter(held, next.value);
      this.options.metrics.countEvents(next.value.events.length);
      if (!this.write(next.value)) this.waitForRoom();
    }
  }

  private *responsesNow(): Generator<WatchResponse, void> {
    this.revision = this.options.member.revision;
    yield* this.stream.takeResponses(this.revision);
    if (!this.progressWanted) return;
    this.progressWanted = false;
    const response = this.stream.progress(this.options.member.revision);
    if (response) yield response;
  }

  /** Only in a member under test. */
  private async sendAfter(held: Promise<void>, response: WatchResponse): Promise<void> {
    this.isBlocked = true;
    await held;
    this.isBlocked = false;
    if (this.write(response)) this.onDue(this);
    else this.waitForRoom();
  }

  private waitForRoom(): void {
    this.isBlocked = true;
    void this.call.drained().then(() => {
      this.isBlocked = false;
      this.onDue(this);
    });
  }

  /** Tells watches that asked for it that nothing has happened. */
  notify(): void {
    if (this.isBlocked || this.isOver) return;
    for (const response of this.stream.takeNotifications(this.options.member.revision)) this.write(response);
  }

  /** False when the client does not keep up. */
  private write(response: WatchResponse): boolean {
    if (this.isOver) return true;
    if (response.header !== undefined) this.options.member.complete(response.header);
    return this.call.send(response);
  }
}
