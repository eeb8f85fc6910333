// Many keys below /bulk/, as a measured etcd is to hold them: several clients, each with many keys in a transaction.
import { kvService } from '#lib/etcd-api/services.ts';
import { LeanClient } from './etcd-client.ts';

export interface Filling {
  readonly keys: number;
  readonly valueBytes: number;
  readonly clients: number;
  /** Of one transaction, whose request may have 16 KiB at most. */
  readonly keysAtOnce: number;
  /** Around each transaction. */
  readonly around: (transact: () => Promise<unknown>) => Promise<unknown>;
}

export async function fill(port: number, { keys, valueBytes, clients, keysAtOnce, around }: Filling): Promise<void> {
  const value = Buffer.alloc(valueBytes, 'v');
  let next = 0;
  await Promise.all(Array.from({ length: clients }).map(async () => {
    const client = await LeanClient.open(port);
    while (next < keys) {
      const count = Math.min(keysAtOnce, keys - next);
      const success = Array.from({ length: count }, (_, at) => ({ requestPut: { key: `/bulk/${String(next + at).padStart(8, '0')}`, value } }));
      next += count;
      await around(() => client.call(kvService.Txn, { compare: [], success, failure: [] }));
    }
    client.close();
  }));
}
