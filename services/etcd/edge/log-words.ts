// How etcd's log tells of a signal and of a failure. Source: etcd v3.6, pkg/osutil/interrupt_unix.go, server/etcdmain/etcd.go,
// server/etcdserver/raft.go.
import { FlagError } from '#lib/service/flags.ts';
import type { ServiceWords } from '#lib/service/run-service.ts';

/** As Go names them. */
const SIGNALS: Readonly<Record<string, string>> = { SIGTERM: 'terminated', SIGINT: 'interrupt' };
const NOT_SAVED = 'failed to save Raft hard state and entries';

export const newEtcdWords = (isReady: () => boolean): ServiceWords => ({
  onSignal: (log, event) => log.info({ signal: SIGNALS[event] ?? event }, 'received signal; shutting down'),
  onStopped: () => undefined, // it has said that it closed
  onFailed: (log, error) => {
    if (error instanceof FlagError) return log.warn({ err: error }, 'failed to verify flags');
    const isNotSaved = error instanceof Error && error.message.startsWith(`${NOT_SAVED}: `);
    if (isNotSaved) return log.fatal({ err: error.cause ?? error }, NOT_SAVED);
    const isRestoring = error instanceof Error && error.name === 'RestoreError';
    log.fatal({ err: error }, isRestoring ? 'failed to restore snapshot' : isReady() ? 'cannot go on' : 'discovery failed');
  },
});
