// What is broken now, one file a fault in the cluster's folder: written before anything is done, so that whoever finds it can undo it.
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { startTicksOf } from '../local/proc.ts';
import type { FaultRecord, ProcessName } from './fault.ts';

const ID_DIGITS = 3;

const storeFolder = (folder: string, mode: ClusterAccess['mode']): string => join(folder, mode === 'local' ? 'faults' : 'compose-faults');
const ignoringAbsence = <T>(read: () => T, otherwise: T): T => {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return otherwise;
    throw error;
  }
};

export class FaultStore {
  readonly #folder: string;

  /** What was broken in an earlier run of the cluster went with it, and is forgotten here. */
  constructor({ folder, mode, runId }: Pick<ClusterAccess, 'folder' | 'mode' | 'runId'>) {
    const runs = storeFolder(folder, mode);
    const run = runId.replace(/[^\w.-]/g, '-');
    this.#folder = join(runs, run);
    for (const other of ignoringAbsence(() => readdirSync(runs), [])) if (other !== run) forgetRun(join(runs, other));
  }

  /** Words of those who undo faults in the background. */
  get logFile(): string {
    return join(this.#folder, 'undone-later.log');
  }

  /** Oldest first. */
  list(): FaultRecord[] {
    return recordsIn(this.#folder).sort((left, right) => left.sinceMs - right.sinceMs || left.id.localeCompare(right.id));
  }

  read(id: string): FaultRecord | undefined {
    return readRecord(join(this.#folder, `${id}.json`));
  }

  /** Takes an id that nobody else has in this run: f001, f002 ... Two who ask at once get two. */
  newId(): string {
    mkdirSync(this.#folder, { recursive: true });
    const taken = readdirSync(this.#folder).map((name) => Number(/^f(\d+)\.id$/.exec(name)?.[1] ?? 0));
    for (let number = Math.max(0, ...taken) + 1; ; number += 1) {
      const id = `f${String(number).padStart(ID_DIGITS, '0')}`;
      try {
        closeSync(openSync(join(this.#folder, `${id}.id`), 'wx'));
        return id;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
  }

  /** Of a fault that was never made. */
  giveBackId(id: string): void {
    rmSync(join(this.#folder, `${id}.id`), { force: true });
  }

  write(record: FaultRecord): void {
    const path = join(this.#folder, `${record.id}.json`);
    writeFileSync(`${path}.${process.pid}`, JSON.stringify(record));
    renameSync(`${path}.${process.pid}`, path);
  }

  /** Its timer has nothing left to do. */
  forget(id: string): void {
    const record = this.read(id);
    rmSync(join(this.#folder, `${id}.json`), { force: true });
    if (record?.timer?.pid !== process.pid) endTimer(record);
  }
}

export const isAlive = (name: ProcessName | undefined): boolean => name !== undefined && startTicksOf(name.pid) === name.startTicks;

/** With the end of the cluster nothing of any fault is left: its records and timers go. */
export function forgetAllFaults(folder: string): void {
  const runs = storeFolder(folder, 'local');
  for (const run of ignoringAbsence(() => readdirSync(runs), [])) forgetRun(join(runs, run));
  rmSync(runs, { recursive: true, force: true });
}

/** Whether anything is written down at all: quick, for it is asked before each command. */
export function hasFaults(folder: string, mode: ClusterAccess['mode']): boolean {
  const runs = storeFolder(folder, mode);
  return ignoringAbsence(() => readdirSync(runs), []).some((run) => ignoringAbsence(() => readdirSync(join(runs, run)), []).some((name) => name.endsWith('.json')));
}

function recordsIn(folder: string): FaultRecord[] {
  return ignoringAbsence(() => readdirSync(folder), []).filter((name) => /^f\d+\.json$/.test(name)).flatMap((name) => readRecord(join(folder, name)) ?? []);
}

const readRecord = (path: string): FaultRecord | undefined =>
  ignoringAbsence(() => (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) as FaultRecord : undefined), undefined);

function forgetRun(folder: string): void {
  recordsIn(folder).forEach(endTimer);
  rmSync(folder, { recursive: true, force: true });
}

function endTimer(record: FaultRecord | undefined): void {
  if (!record?.timer || !isAlive(record.timer)) return;
  try {
    process.kill(record.timer.pid, 'SIGTERM');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has just ended
  }
}
