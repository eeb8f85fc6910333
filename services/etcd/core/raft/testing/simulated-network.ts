// A network that loses, delays, reorders, duplicates and cuts off, as its seed says.
import { integerBelow, type Random } from '#lib/environment/random.ts';
import { raftMessage, type MessageType, type RaftMessage } from '#lib/etcd-api/raft-messages.ts';

export interface NetworkQuality {
  readonly lossProbability: number;
  readonly duplicateProbability: number;
  /** Up to this long under way, and now and then ten times as long. */
  readonly maxDelay: number;
  readonly lateProbability: number;
}

export const GOOD_NETWORK: NetworkQuality = { lossProbability: 0, duplicateProbability: 0, maxDelay: 2, lateProbability: 0 };

interface Recipients {
  /** A message arrives. */
  readonly deliver: (message: RaftMessage) => void;
  /** The sender learns, perhaps, that a message was not delivered; of a snapshot always, how it fared. */
  readonly report: (message: RaftMessage, isDelivered: boolean) => void;
}

export class SimulatedNetwork {
  quality: NetworkQuality = GOOD_NETWORK;
  /** Directed links that are cut: `from>to`. */
  private readonly cut = new Set<string>();
  private readonly due = new Map<number, (() => void)[]>();
  private now = 0;
  private readonly random: Random;
  private readonly recipients: Recipients;
  /** Sends messages through their bytes. */
  private readonly encodes: boolean;

  constructor(random: Random, encodes: boolean, recipients: Recipients) {
    this.random = random;
    this.encodes = encodes;
    this.recipients = recipients;
  }

  cutOff(from: bigint, to: bigint): void {
    this.cut.add(`${from}>${to}`);
  }

  heal(): void {
    this.cut.clear();
  }

  isCut(from: bigint, to: bigint): boolean {
    return this.cut.size > 0 && this.cut.has(`${from}>${to}`);
  }

  send(message: RaftMessage): void {
    const { lossProbability, duplicateProbability } = this.quality;
    const sent = this.encodes ? raftMessage.decode(raftMessage.encode(message as RaftMessage & { type: MessageType })) : message;
    if (this.isCut(message.from, message.to) || this.random.fraction() < lossProbability) {
      this.at(this.delay() * 2, () => this.recipients.report(sent, false));
      return;
    }
    this.deliver(sent);
    // Proposals come over a connection that does not repeat them; repeated, they would be two.
    if (message.type !== 'MsgProp' && duplicateProbability > 0 && this.random.fraction() < duplicateProbability) this.at(this.delay(), () => this.recipients.deliver(sent));
  }

  private deliver(message: RaftMessage): void {
    this.at(this.delay(), () => {
      if (this.isCut(message.from, message.to)) return this.recipients.report(message, false);
      this.recipients.deliver(message);
      if (message.type === 'MsgSnap') this.at(this.delay(), () => this.recipients.report(message, true));
    });
  }

  private delay(): number {
    const { maxDelay, lateProbability } = this.quality;
    const delay = 1 + integerBelow(this.random, maxDelay);
    return lateProbability > 0 && this.random.fraction() < lateProbability ? delay * 10 : delay;
  }

  private at(delay: number, action: () => void): void {
    const actions = this.due.get(this.now + delay);
    if (actions === undefined) this.due.set(this.now + delay, [action]);
    else actions.push(action);
  }

  /** Moves to the next unit of time and delivers what is due. */
  advance(): void {
    this.now += 1;
    const actions = this.due.get(this.now);
    if (actions === undefined) return;
    this.due.delete(this.now);
    for (const action of actions) action();
  }
}
