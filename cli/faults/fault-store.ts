// What is broken now, one file a fault in the cluster's folder: written before anything is done, so that whoever finds it can undo it.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClusterAccess } from '../access/cluster-access.ts';
import type { FaultRecord } from './fault.ts';

const ID_DIGITS = 3;

export class FaultStore {
  readonly #folder: string;
  readonly #runId: string;

  constructor({ folder, mode, runId }: Pick<ClusterAccess, 'folder' | 'mode' | 'runId'>) {
    this.#folder = join(folder, mode === 'local' ? 'faults' : 'compose-faults');
    this.#runId = runId;
  }

  /** Oldest first. What was broken in an earlier run of the cluster went with it, and is forgotten here. */
  list(): FaultRecord[] {
    const records: FaultRecord[] = [];
    for (const name of this.#files()) {
      const record = this.#read(name);
      if (record?.runId === this.#runId) records.push(record);
      else if (record) this.#remove(name);
    }
    return records.sort((left, right) => left.sinceMs - right.sinceMs || left.id.localeCompare(right.id));
  }

  /** Takes a free id: f001, f002 ... */
  newId(): string {
    const taken = this.#files().map((name) => Number(name.slice(1, -'.json'.length)));
    return `f${String(Math.max(0, ...taken) + 1).padStart(ID_DIGITS, '0')}`;
  }

  write(record: FaultRecord): void {
    mkdirSync(this.#folder, { recursive: true });
    const path = join(this.#folder, `${record.id}.json`);
    writeFileSync(`${path}.new`, JSON.stringify(record));
    renameSync(`${path}.new`, path);
  }

  forget(id: string): void {
    this.#remove(`${id}.json`);
  }

  #files(): string[] {
    try {
      return readdirSync(this.#folder).filter((name) => /^f\d+\.json$/.test(name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  #read(name: string): FaultRecord | undefined {
    try {
      return JSON.parse(readFileSync(join(this.#folder, name), 'utf8')) as FaultRecord;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined; // healed meanwhile
      throw error;
    }
  }

  #remove(name: string): void {
    rmSync(join(this.#folder, name), { force: true });
  }
}
