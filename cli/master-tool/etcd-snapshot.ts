// A snapshot of the etcd member of this master, as `etcdctl snapshot save` asks for it; in lines of base64, as it goes through a pipe of text.
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { connectToEtcd } from '#lib/etcd-api/client.ts';

const PKI = '/etc/kubernetes/pki';

export async function printEtcdSnapshot(output: Writable): Promise<void> {
  const etcd = connectToEtcd({ endpoints: ['https://127.0.0.1:2379'], caFile: `${PKI}/etcd/ca.crt`, certFile: `${PKI}/apiserver-etcd-client.crt`, keyFile: `${PKI}/apiserver-etcd-client.key` });
  try {
    for await (const blob of etcd.snapshot()) if (!output.write(`${Buffer.from(blob).toString('base64')}\n`)) await once(output, 'drain');
  } finally {
    etcd.close();
  }
}
