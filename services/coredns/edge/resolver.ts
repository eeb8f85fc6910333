// Answers one question through the plugins of a server block, in CoreDNS's order.
import type { Environment } from '#lib/environment/environment.ts';
import { integerBelow } from '#lib/environment/random.ts';
import { AnswerCache } from '../core/answer-cache.ts';
import { ClusterRecords, type ClusterView } from '../core/cluster-records.ts';
import { isInZone, type ServerConfig } from '../core/configuration.ts';
import { failureReply, type DnsRecord, type Question, type Reply } from '../core/message.ts';
import { rewriteName } from '../core/rewrite.ts';
import { Forwarder } from './forwarder.ts';
import { HostsFile } from './hosts-file.ts';
import type { DnsMetrics } from './metrics.ts';

/** Aliases followed for one answer. */
const ALIAS_LIMIT = 8;

export interface Resolved {
  readonly reply: Reply;
  readonly zone: string;
  /** Who answered; empty: nobody was in charge. */
  readonly plugin: string;
}

export interface ResolverOptions {
  readonly view: ClusterView;
  readonly metrics: DnsMetrics;
  readonly environment: Environment;
}

/** The server blocks of one port. */
export class Resolver {
  readonly #blocks: readonly Block[];

  constructor(configs: readonly ServerConfig[], options: ResolverOptions) {
    this.#blocks = configs.map((config) => new Block(config, options, (question, transport, depth) => this.#resolve(question, transport, depth)));
  }

  /** Answers at once, unless another server has to be asked. */
  resolve(question: Question, transport: 'udp' | 'tcp'): Resolved | Promise<Resolved> {
    return this.#resolve(question, transport, 0);
  }

  #resolve(question: Question, transport: 'udp' | 'tcp', depth: number): Resolved | Promise<Resolved> {
    if (question.class !== 'IN' && question.class !== 'ANY') return { reply: failureReply('REFUSED'), zone: '', plugin: '' };
    const name = question.name.toLowerCase();
    let best: { readonly block: Block; readonly zone: string } | undefined;
    for (const block of this.#blocks) {
      for (const zone of block.config.zones) if (isInZone(name, zone) && (!best || zone.length > best.zone.length)) best = { block, zone };
    }
    return best ? best.block.answer(question, { zone: best.zone, transport, depth }) : { reply: failureReply('REFUSED'), zone: '', plugin: '' };
  }

  get forwarders(): readonly Forwarder[] {
    return this.#blocks.flatMap(({ forwarders }) => forwarders);
  }

  configOf(question: Question): ServerConfig | undefined {
    const name = question.name.toLowerCase();
    return this.#blocks.map(({ config }) => config).filter(({ zones }) => zones.some((zone) => isInZone(name, zone))).sort((a, b) => longest(b) - longest(a))[0];
  }
}

const longest = ({ zones }: ServerConfig): number => Math.max(...zones.map(({ length }) => length));

interface Asked {
  readonly zone: string;
  readonly transport: 'udp' | 'tcp';
  readonly depth: number;
}
type ResolveAgain = (question: Question, transport: 'udp' | 'tcp', depth: number) => Resolved | Promise<Resolved>;

class Block {
  readonly config: ServerConfig;
  readonly forwarders: readonly Forwarder[];
  readonly #records: ClusterRecords | undefined;
  readonly #cache: AnswerCache | undefined;
  readonly #hosts: HostsFile | undefined;
  readonly #metrics: DnsMetrics;
  readonly #environment: Environment;
  readonly #resolveAgain: ResolveAgain;

  constructor(config: ServerConfig, { view, metrics, environment }: ResolverOptions, resolveAgain: ResolveAgain) {
    this.config = config;
    this.forwarders = config.forward.map((forward) => new Forwarder(forward, environment));
    this.#records = config.kubernetes && new ClusterRecords(view, config.kubernetes);
    this.#cache = config.cache && new AnswerCache(config.cache);
    this.#hosts = config.hosts && new HostsFile(config.hosts, environment.clock);
    this.#metrics = metrics;
    this.#environment = environment;
    this.#resolveAgain = resolveAgain;
  }

  answer(question: Question, asked: Asked): Resolved | Promise<Resolved> {
    const { clock } = this.#environment;
    const server = `dns://:${this.config.port}`;
    const cached = this.#cache?.get(question, clock.nowMs());
    if (cached) {
      this.#metrics.cacheHits.inc({ server, type: cached.answers.length > 0 ? 'success' : 'denial', zones: asked.zone, view: '' });
      return this.#finished({ reply: cached, zone: asked.zone, plugin: 'cache' });
    }
    if (this.#cache) this.#metrics.cacheMisses.inc({ server, zones: asked.zone, view: '' });
    const resolved = this.#ask(question, asked);
    const keep = (fresh: Resolved): Resolved => this.#finished({ ...fresh, reply: this.#cache?.put(question, fresh.reply, clock.nowMs()) ?? fresh.reply });
    return resolved instanceof Promise ? resolved.then(keep) : keep(resolved);
  }

  #ask(question: Question, asked: Asked): Resolved | Promise<Resolved> {
    const rewritten = this.config.rewrite.length === 0 ? undefined : rewriteName(question.name, this.config.rewrite);
    if (!rewritten) return this.#askAs(question, asked);
    const resolved = this.#askAs({ ...question, name: rewritten.name }, asked);
    const restored = (found: Resolved): Resolved => ({ ...found, reply: rewritten.restore(found.reply) });
    return resolved instanceof Promise ? resolved.then(restored) : restored(resolved);
  }

  #askAs(question: Question, asked: Asked): Resolved | Promise<Resolved> {
    const written = this.#hosts?.lookup(question);
    if (written) return { reply: written, zone: asked.zone, plugin: 'hosts' };
    const found = this.#records?.lookup(question, Math.floor(this.#environment.clock.nowMs() / 1000)) ?? { kind: 'next' };
    switch (found.kind) {
      case 'reply': return { reply: found.reply, zone: asked.zone, plugin: 'kubernetes' };
      case 'alias': return this.#follow(found.record, { ...question, name: found.target }, asked);
      case 'next': return this.#forward(question, asked);
    }
  }

  /** The alias, with what its target resolves to; the alias alone when that cannot be told. */
  async #follow(alias: DnsRecord, question: Question, { zone, transport, depth }: Asked): Promise<Resolved> {
    const target = depth < ALIAS_LIMIT ? await this.#resolveAgain(question, transport, depth + 1) : undefined;
    const answers = target?.reply.rcode === 'NOERROR' ? target.reply.answers : [];
    return { reply: { rcode: 'NOERROR', isAuthoritative: true, isRecursionAvailable: false, answers: [alias, ...answers], authorities: [], additionals: [] }, zone, plugin: 'kubernetes' };
  }

  async #forward(question: Question, { zone, transport }: Asked): Promise<Resolved> {
    const name = question.name.toLowerCase();
    const forwarder = this.forwarders.filter((candidate) => candidate.takes(name)).sort((a, b) => b.config.from.length - a.config.from.length)[0];
    // Without a plugin in charge CoreDNS refuses.
    if (!forwarder) return { reply: failureReply('REFUSED'), zone, plugin: '' };
    const reply = await forwarder.ask(question, transport);
    this.#metrics.forwarded.inc({ rcode: reply.rcode });
    return { reply, zone, plugin: 'forward' };
  }

  #finished(resolved: Resolved): Resolved {
    if (!this.config.shuffles || resolved.reply.answers.length < 2) return resolved;
    return { ...resolved, reply: { ...resolved.reply, answers: this.#shuffled(resolved.reply.answers) } };
  }

  /** Addresses in random order, behind the aliases that lead to them. */
  #shuffled(answers: readonly DnsRecord[]): DnsRecord[] {
    const isAddress = ({ type }: DnsRecord): boolean => type === 'A' || type === 'AAAA' || type === 'MX';
    const addresses = answers.filter(isAddress);
    for (let last = addresses.length - 1; last > 0; last -= 1) {
      const chosen = integerBelow(this.#environment.random, last + 1);
      [addresses[last], addresses[chosen]] = [addresses[chosen] as DnsRecord, addresses[last] as DnsRecord];
    }
    return [...answers.filter(({ type }) => type === 'CNAME'), ...addresses, ...answers.filter((record) => record.type !== 'CNAME' && !isAddress(record))];
  }
}
