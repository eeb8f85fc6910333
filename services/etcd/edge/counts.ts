/** What a member counts on its way; read when somebody asks for the metrics. */
export class MemberCounts {
  slowApplies = 0;
  slowReadIndexes = 0;
  failedReadIndexes = 0;
  /** Entries that compactions removed, and when the last one was done; seconds since 1970. */
  compactedEntries = 0;
  lastCompaction = 0;
  learnerPromotions = 0;
  /** Keys and values that were put, bytes. */
  putBytes = 0;
  snapshotsInApply = 0;
}

/** With another member. */
export interface PeerTraffic {
  sentBytes: number;
  receivedBytes: number;
  failures: number;
}
