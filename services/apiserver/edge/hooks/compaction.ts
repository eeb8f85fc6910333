// Compacts etcd: of all API servers, one in each round, and only what is older than a round.
// Source: apiserver pkg/storage/etcd3/compact.go.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import type { EtcdClient } from '#lib/etcd-api/client.ts';

const KEY = 'compact_rev_key';

interface Round {
  /** Version of KEY that this server believes in. */
  readonly version: number;
  /** Revision when the last round ended: compact up to it. */
  readonly revision: number;
}

async function compact(client: EtcdClient, { version, revision }: Round): Promise<Round> {
  const result = await client.txn({
    compare: [{ result: 'EQUAL', target: 'VERSION', key: KEY, version }],
    success: [{ requestPut: { key: KEY, value: Buffer.from(String(revision)) } }],
    failure: [{ requestRange: { key: KEY } }],
  });
  const current = result.header?.revision ?? revision;
  if (!result.succeeded) return { version: result.responses[0]?.responseRange?.kvs[0]?.version ?? 0, revision: current };
  if (revision > 0) await client.compact({ revision });
  return { version: version + 1, revision: current };
}

/** Runs until `signal` aborts; 0 turns it off. */
export async function runCompaction(options: { client: EtcdClient; periodMs: number; clock: Clock; log: Logger; signal: AbortSignal }): Promise<void> {
  const { client, periodMs, clock, log, signal } = options;
  if (periodMs <= 0) return;
  let round: Round = { version: 0, revision: 0 };
  while (!signal.aborted) {
    await clock.sleep(periodMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const last = round.revision;
      round = await compact(client, round);
      log.debug({ revision: last }, 'compacted storage');
    } catch (error) {
      log.warn({ err: error }, 'cannot compact storage');
    }
  }
}
