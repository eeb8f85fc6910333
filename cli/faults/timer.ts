// Undoes a fault when its time is over: a process of its own, which outlives the command that made the fault.
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { startTicksOf } from '../local/proc.ts';
import { withoutExtraAuthorities } from '../without-extra-authorities.ts';
import type { ProcessName } from './fault.ts';

/** Not in any help: `kubreak undo-later f001`. */
export const TIMER_COMMAND = 'undo-later';

export function startTimer({ folder, mode }: ClusterAccess, id: string, logFile: string): ProcessName {
  const log = openSync(logFile, 'a');
  const child = spawn(process.execPath, ['--use-openssl-ca', kubreak(), '--dir', folder, ...(mode === 'compose' ? ['--compose'] : []), TIMER_COMMAND, id],
    { detached: true, stdio: ['ignore', log, log], cwd: '/', env: withoutExtraAuthorities(process.env) });
  closeSync(log);
  child.on('error', () => undefined); // told below
  child.unref();
  if (child.pid === undefined) throw new Error(`cannot start ${process.execPath}`);
  return { pid: child.pid, startTicks: startTicksOf(child.pid) ?? '' };
}

/** The bundle, also for those who run from the sources. */
function kubreak(): string {
  const here = fileURLToPath(import.meta.url);
  return here.endsWith('.ts') ? join(dirname(here), '../../dist/kubreak.js') : join(dirname(here), 'kubreak.js');
}
