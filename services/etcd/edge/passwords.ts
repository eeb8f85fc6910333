// Passwords are kept as bcrypt hashes, as etcd keeps them: users of a snapshot of one can log in at the other. node:crypto
// has no bcrypt. Loaded when the first password comes, as most clusters never see one.
import { etcdError } from '#lib/etcd-api/errors.ts';
import { GrpcError, grpcStatus } from '#lib/grpc/status.ts';

/** Checks that wait for others. Each takes a tenth of a second of this process, which has heartbeats to send. */
const MAX_WAITING = 64;
/** What bcrypt looks at. Source: golang.org/x/crypto/bcrypt. */
const MAX_PASSWORD_BYTES = 72;

export class Passwords {
  private readonly cost: number;
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  constructor(cost: number) {
    this.cost = cost;
  }

  async hash(password: string): Promise<string> {
    if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) throw new GrpcError(grpcStatus.UNKNOWN, 'bcrypt: password length exceeds 72 bytes');
    return this.oneAtATime(async () => (await import('bcryptjs')).hash(password, this.cost));
  }

  async isRight(password: string, hash: Buffer): Promise<boolean> {
    return this.oneAtATime(async () => (await import('bcryptjs')).compare(password, hash.toString('latin1')));
  }

  /** bcryptjs gives the event loop back now and then; several at once would do so one after the other, and not at all to others. */
  private async oneAtATime<R>(work: () => Promise<R>): Promise<R> {
    if (this.waiting >= MAX_WAITING) throw etcdError('TooManyRequests');
    this.waiting += 1;
    const result = this.last.then(work);
    this.last = result.catch(() => undefined); // who asked hears of it
    try {
      return await result;
    } finally {
      this.waiting -= 1;
    }
  }
}
