// What the store keeps besides keys and leases: records in etcd's own buckets, keys and values as etcd has them, so that
// a snapshot is a copy. Source: etcd v3.6, server/storage/schema.

export type Bucket = 'alarm' | 'auth' | 'authUsers' | 'authRoles' | 'cluster' | 'members' | 'members_removed';

export interface BucketRecord {
  readonly bucket: Bucket;
  readonly key: Buffer;
  readonly value: Buffer;
}

/** The part of a command's writes that concerns such records. */
export type RecordWrite =
  | { readonly type: 'put-record'; readonly record: BucketRecord }
  | { readonly type: 'delete-record'; readonly bucket: Bucket; readonly key: Buffer };

export const putRecord = (bucket: Bucket, key: Buffer, value: Buffer): RecordWrite => ({ type: 'put-record', record: { bucket, key, value } });
export const deleteRecord = (bucket: Bucket, key: Buffer): RecordWrite => ({ type: 'delete-record', bucket, key });
