// Clients of a simulated cluster: each does one thing after the other at members of its choice, and gives up on what takes too long.
import { integerBelow, type Random } from '#lib/environment/random.ts';
import { putRequest } from '#lib/etcd-api/messages.ts';
import type { Command } from '../../store.ts';
import { compactTo, deleteRange, put, txn } from '../../testing.ts';
import { ProposalDropped } from '../raft.ts';
import type { Oracle } from './oracle.ts';
import type { SimulatedMember } from './simulated-member.ts';

const KEYS = ['a', 'b', 'c', 'd', 'e'];
const PATIENCE = 40;
const MAX_PAUSE = 8;
const EXTRA_BYTES = 60;

interface Client { busyUntil: number; operation: number }

export class SimulatedClients {
  /** By number; entries carry the number. */
  readonly commands: Command[] = [];
  private readonly clients: Client[];
  private readonly random: Random;
  private readonly oracle: Oracle;
  private operations = 0;
  /** Begin nothing new. */
  areQuiet = false;

  constructor(random: Random, oracle: Oracle, count: number) {
    this.random = random;
    this.oracle = oracle;
    this.clients = Array.from({ length: count }, () => ({ busyUntil: 0, operation: 0 }));
  }

  run(now: number, members: readonly SimulatedMember[]): void {
    if (this.areQuiet) return;
    for (const client of this.clients) {
      if (now < client.busyUntil || members.length === 0) continue;
      const member = members[integerBelow(this.random, members.length)] as SimulatedMember;
      const operation = (this.operations += 1);
      client.operation = operation;
      client.busyUntil = now + PATIENCE;
      const done = (): void => {
        if (client.operation === operation) client.busyUntil = now + 1 + integerBelow(this.random, MAX_PAUSE);
      };
      if (this.random.fraction() < 0.3) this.read(member, done);
      else if (!this.write(member, done)) done();
    }
  }

  private read(member: SimulatedMember, done: () => void): void {
    const { floor } = this.oracle;
    member.read(this.operations, {
      floor,
      done: (revision) => {
        this.oracle.hasRead(member.id, floor, revision);
        done();
      },
    });
  }

  /** False: refused at once, and certainly not done. */
  write(member: SimulatedMember, done: () => void): boolean {
    const number = this.commands.push(this.randomCommand(member)) - 1;
    const data = Buffer.alloc(4 + integerBelow(this.random, EXTRA_BYTES));
    data.writeUInt32LE(number);
    member.waiting.set(number, (revision, isRefused) => {
      if (!isRefused) this.oracle.acknowledge(revision);
      done();
    });
    try {
      member.raft.propose([data]);
      return true;
    } catch (error) {
      if (!(error instanceof ProposalDropped)) throw error;
      member.waiting.delete(number);
      return false;
    }
  }

  private randomCommand({ store }: SimulatedMember): Command {
    const { random } = this;
    const key = KEYS[integerBelow(random, KEYS.length)] as string;
    const value = `v${this.commands.length}`;
    const dice = random.fraction();
    if (dice < 0.6) return put({ key, value });
    if (dice < 0.7) return deleteRange({ key });
    if (dice < 0.75) return { type: 'leaseGrant', request: { ID: BigInt(1 + integerBelow(random, 3)), TTL: 60 } };
    if (dice < 0.8) return { type: 'leaseRevoke', request: { ID: BigInt(1 + integerBelow(random, 3)) } };
    if (dice < 0.85) return { type: 'put', request: putRequest.decode(putRequest.encode({ key, value, lease: BigInt(1 + integerBelow(random, 3)) })) };
    if (dice < 0.92) return compactTo(Math.max(1, store.revision - integerBelow(random, 10)));
    return txn({
      compare: [{ key, target: 'MOD', result: 'LESS', modRevision: store.revision }],
      success: [{ requestPut: { key, value } }, { requestDeleteRange: { key: 'f' } }], failure: [{ requestDeleteRange: { key } }],
    });
  }
}
