// The leader's sending: appends within each member's window, snapshots to those whose next entry is gone, heartbeats. Raft §5.3, §7.
import { snapshotIndex } from './log-view.ts';
import type { Progress } from './progress.ts';
import type { RaftState } from './raft-state.ts';

/** Sends one append if the member may be sent one; without entries only when `evenIfEmpty`. Returns whether it did. */
export function sendAppend(state: RaftState, to: Progress, evenIfEmpty: boolean): boolean {
  if (!to.mayBeSent()) return false;
  const { log } = state;
  const index = to.next - 1;
  const logTerm = log.term(index);
  if (logTerm === undefined || to.next < log.firstIndex) return sendSnapshot(state, to);
  // A full window lets only empty appends through: they find out whether what filled it was lost.
  const hasRoom = to.state !== 'replicate' || !to.inflight.isFull();
  const entries = log.entries(to.next, hasRoom ? log.lastIndex : index, state.maxBytesPerMessage);
  if (entries.length === 0 && !evenIfEmpty) return false;
  state.send('MsgApp', to.id, { index, logTerm, entries, commit: log.committed });
  to.sent(entries.length, log.committed);
  return true;
}

/** Sends all that the member's window takes. */
export function sendAppends(state: RaftState, to: Progress): void {
  while (sendAppend(state, to, false));
}

function sendSnapshot(state: RaftState, to: Progress): boolean {
  if (!to.recentActive) return false;
  const snapshot = state.log.snapshot();
  if (snapshot === 'unavailable') return false;
  to.awaitSnapshot(snapshotIndex(snapshot));
  state.send('MsgSnap', to.id, { snapshot });
  return true;
}

/** Carries no commit index beyond what the member is known to have. */
function sendHeartbeat(state: RaftState, to: Progress, context: Uint8Array): void {
  const commit = Math.min(to.match, state.log.committed);
  state.send('MsgHeartbeat', to.id, { commit, context });
  to.sentCommitIndex(commit);
}

/** What became due since the last Ready. */
export function sendWhatIsDue(state: RaftState): void {
  if (state.appendIsDue) {
    state.appendIsDue = false;
    for (const other of state.members.others) {
      sendAppends(state, other);
      if (other.lacksCommit(state.log.committed)) sendAppend(state, other, true);
    }
  }
  if (state.heartbeatIsDue) {
    state.heartbeatIsDue = false;
    const context = state.reads.heartbeatContext();
    for (const other of state.members.others) sendHeartbeat(state, other, context);
  }
}
