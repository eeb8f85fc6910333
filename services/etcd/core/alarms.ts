// Alarms: what keeps the cluster from taking writes until somebody has lifted it. Part of the replicated state.
// Source: etcd v3.6, server/etcdserver/api/v3alarm and server/etcdserver/apply.
import { alarmMember, type AlarmMember } from '#lib/etcd-api/messages.ts';
import type { Decoded } from '#lib/etcd-api/wire.ts';
import type { alarmRequest } from '#lib/etcd-api/messages.ts';
import { deleteRecord, putRecord, type BucketRecord, type RecordWrite } from './bucket-record.ts';

export type AlarmRequest = Pick<Decoded<typeof alarmRequest>, 'action' | 'memberID' | 'alarm'>;
type AlarmType = AlarmMember['alarm'];

const NOTHING = Buffer.alloc(0);

export class Alarms {
  /** By their encoding, which is their key on disk. */
  private readonly active = new Map<string, AlarmMember>();
  /** No space is left: puts are refused. */
  isCapped = false;
  /** Members differ: every write is refused. */
  isCorrupt = false;

  constructor(records: Iterable<BucketRecord> = []) {
    for (const { bucket, key } of records) if (bucket === 'alarm') this.active.set(key.toString('latin1'), alarmMember.decode(key));
    this.refresh();
  }

  /** `NONE` stands for all. */
  list(type: AlarmType = 'NONE'): AlarmMember[] {
    return [...this.active.values()].filter(({ alarm }) => type === 'NONE' || alarm === type).sort((a, b) => (a.memberID < b.memberID ? -1 : a.memberID > b.memberID ? 1 : 0));
  }

  apply({ action, memberID, alarm }: AlarmRequest, write: (write: RecordWrite) => void): AlarmMember[] {
    if (action === 'GET') return this.list(alarm);
    if (alarm === 'UNRECOGNIZED' || alarm === 'NONE' || action === 'UNRECOGNIZED') return [];
    const record = alarmMember.encode({ memberID, alarm });
    const key = record.toString('latin1');
    const known = this.active.get(key);
    if (action === 'ACTIVATE' && known === undefined) {
      this.active.set(key, { memberID, alarm });
      write(putRecord('alarm', record, NOTHING));
    } else if (action === 'DEACTIVATE') {
      if (known === undefined) return [];
      this.active.delete(key);
      write(deleteRecord('alarm', record));
    }
    this.refresh();
    return [known ?? { memberID, alarm }];
  }

  private refresh(): void {
    this.isCapped = this.list('NOSPACE').length > 0;
    this.isCorrupt = this.list('CORRUPT').length > 0;
  }
}
