// Which calls a member takes in its state: a learner serves next to nothing, and clients that ask for a leader are not served without one.
// Source: etcd v3.6, server/etcdserver/api/v3rpc/interceptor.go.
import { etcdError } from '#lib/etcd-api/errors.ts';
import type { CallContext } from '#lib/grpc/call.ts';
import type { Member } from './member.ts';

/** Elections without a leader after which streams are ended. Source: etcd, maxNoLeaderCnt. */
const MAX_ELECTIONS_WITHOUT_LEADER = 3;
const LEARNER_METHODS: ReadonlySet<string> = new Set(['/etcdserverpb.Maintenance/Status', '/etcdserverpb.Maintenance/Snapshot', '/grpc.health.v1.Health/Check', '/grpc.health.v1.Health/Watch']);
const RANGE = '/etcdserverpb.KV/Range';

type Call = Pick<CallContext, 'path' | 'metadata'>;

export class Gate {
  private readonly member: Member;
  private readonly electionMs: number;
  private readonly streams = new Set<(error: Error) => void>();
  private timer: NodeJS.Timeout | undefined;
  private electionsWithoutLeader = 0;

  constructor(member: Member, electionMs: number) {
    this.member = member;
    this.electionMs = electionMs;
  }

  /** Throws EtcdError. */
  admit(call: Call, request?: unknown): void {
    const { member } = this;
    if (member.isLearner && !LEARNER_METHODS.has(call.path) && !(call.path === RANGE && (request as { serializable: boolean }).serializable)) throw etcdError('NotSupportedForLearner');
    if (member.leader === 0n && requiresLeader(call)) throw etcdError('NoLeader');
  }

  /** Ends with NoLeader when there is none for long, for those who asked for one. */
  async stream(call: Call, run: () => Promise<void>): Promise<void> {
    this.admit(call);
    if (!requiresLeader(call)) return run();
    let lose: (error: Error) => void = () => undefined;
    const lost = new Promise<never>((_, reject) => { lose = reject; });
    this.streams.add(lose);
    this.timer ??= setInterval(() => this.look(), this.electionMs);
    try {
      await Promise.race([run(), lost]);
    } finally {
      this.streams.delete(lose);
      if (this.streams.size === 0) this.rest();
    }
  }

  private look(): void {
    this.electionsWithoutLeader = this.member.leader === 0n ? this.electionsWithoutLeader + 1 : 0;
    if (this.electionsWithoutLeader >= MAX_ELECTIONS_WITHOUT_LEADER) for (const lose of this.streams) lose(etcdError('NoLeader'));
  }

  private rest(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.electionsWithoutLeader = 0;
  }
}

const requiresLeader = (call: Call): boolean => call.metadata('hasleader') === 'true';
