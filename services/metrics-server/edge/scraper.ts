// Asks every kubelet for its measurements, all at once but a little apart. Source: pkg/scraper of metrics-server.
import { createSecureContext } from 'node:tls';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { http1Transport } from '#lib/api-client/http1-transport.ts';
import { bodyText, type Transport } from '#lib/api-client/transport.ts';
import { withDeadline } from '#lib/service/abort.ts';
import type { Environment } from '#lib/environment/environment.ts';
import type { Node } from '#lib/kinds/types/core-v1.ts';
import { readResourceMetrics, type Batch } from '../core/resource-metrics.ts';

/** So that kubelets are not asked all in the same moment. Milliseconds. Source: delayPerSourceMs, maxDelayMs. */
const DELAY_PER_NODE_MS = 8;
const LONGEST_DELAY_MS = 4_000;

export interface ScraperOptions extends Environment {
  readonly tls: { readonly caPem?: string | undefined; readonly certPem?: string | undefined; readonly keyPem?: string | undefined; readonly isInsecure: boolean };
  readonly port: number;
  readonly usesNodeStatusPort: boolean;
  readonly addressTypes: readonly string[];
  readonly timeoutMs: number;
  readonly metrics: Registry;
  readonly signal: AbortSignal;
}

export class NoAddressError extends Error {
  override readonly name = 'NoAddressError';
}

export class Scraper {
  readonly #options: ScraperOptions;
  readonly #context: ReturnType<typeof createSecureContext>;
  readonly #kubelets = new Map<string, Transport>();
  readonly #duration: Histogram<'node'>;
  readonly #total: Counter<'success'>;
  readonly #lastTime: Gauge<'node'>;

  constructor(options: ScraperOptions) {
    const { caPem, certPem, keyPem } = options.tls;
    this.#options = options;
    this.#context = createSecureContext({ ca: caPem, cert: certPem, key: keyPem });
    const registers = [options.metrics];
    this.#duration = new Histogram({ name: 'metrics_server_kubelet_request_duration_seconds', help: 'Duration of requests to Kubelet API in seconds', labelNames: ['node'], registers });
    this.#total = new Counter({ name: 'metrics_server_kubelet_request_total', help: 'Number of requests sent to Kubelet API', labelNames: ['success'], registers });
    this.#lastTime = new Gauge({ name: 'metrics_server_kubelet_last_request_time_seconds', help: 'Time of last request performed to Kubelet API since unix epoch in seconds', labelNames: ['node'], registers });
  }

  /** What could be had; nodes that do not answer are left out, and logged. */
  async scrape(nodes: readonly Node[]): Promise<Batch> {
    const { clock, random, signal, log } = this.#options;
    const delayMs = Math.min(DELAY_PER_NODE_MS * nodes.length, LONGEST_DELAY_MS);
    const batches = await Promise.all(nodes.map(async (node): Promise<Batch | undefined> => {
      const name = node.metadata.name;
      await clock.sleep(random.fraction() * delayMs, signal);
      const startedMs = clock.nowMs();
      try {
        const text = await this.#ask(node);
        this.#total.inc({ success: 'true' });
        return readResourceMetrics(text, name, clock.nowMs());
      } catch (error) {
        if (signal.aborted) throw error;
        this.#total.inc({ success: 'false' });
        const isReady = node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
        log[isReady ? 'error' : 'debug']({ err: error, node: name }, 'Failed to scrape node');
        return undefined;
      } finally {
        this.#duration.observe({ node: name }, (clock.nowMs() - startedMs) / 1000);
        this.#lastTime.set({ node: name }, Math.floor(clock.nowMs() / 1000));
      }
    }));
    const known = batches.filter((batch) => batch !== undefined);
    this.#forgetOthers(nodes);
    return { nodes: new Map(known.flatMap((batch) => [...batch.nodes])), pods: new Map(known.flatMap((batch) => [...batch.pods])) };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#kubelets.values()].map((kubelet) => kubelet.close()));
  }

  async #ask(node: Node): Promise<string> {
    const { timeoutMs, signal } = this.#options;
    const kubelet = this.#kubeletAt(this.#originOf(node));
    return withDeadline(timeoutMs, signal, async (limit) => {
      const response = await kubelet.send({ method: 'GET', path: '/metrics/resource', headers: { accept: 'text/plain' }, body: undefined, signal: limit });
      const text = await bodyText(response);
      if (response.statusCode !== 200) throw new Error(`request failed, status: ${response.statusCode} ${text.trim().slice(0, 200)}`);
      return text;
    });
  }

  #originOf({ metadata, status }: Node): string {
    const { addressTypes, port, usesNodeStatusPort } = this.#options;
    const address = addressTypes.flatMap((type) => status?.addresses?.find((one) => one.type === type)?.address ?? [])[0];
    if (address === undefined) throw new NoAddressError(`node ${metadata.name} had no addresses that matched types [${addressTypes.join(' ')}]`);
    const portOfNode = status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 0;
    return `https://${address.includes(':') ? `[${address}]` : address}:${usesNodeStatusPort && portOfNode > 0 ? portOfNode : port}`;
  }

  #kubeletAt(origin: string): Transport {
    let kubelet = this.#kubelets.get(origin);
    if (!kubelet) {
      kubelet = http1Transport({ origin, secureContext: this.#context, rejectUnauthorized: !this.#options.tls.isInsecure });
      this.#kubelets.set(origin, kubelet);
    }
    return kubelet;
  }

  #forgetOthers(nodes: readonly Node[]): void {
    if (this.#kubelets.size <= nodes.length) return;
    for (const kubelet of this.#kubelets.values()) void kubelet.close(); // the rare case of a node that went: the others connect anew
    this.#kubelets.clear();
  }
}
