// What the runtime knows of its sandboxes and containers, on disk: one JSON file each, replaced in one step, so that a kill
// at any line leaves either the old or the new state.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeMessage, encodeMessage } from '#lib/cri/codec.ts';
import type { ContainerConfig, PodSandboxConfig } from '#lib/cri/messages.ts';

export interface Sandbox {
  readonly id: string;
  readonly config: PodSandboxConfig;
  readonly createdAt: bigint;
  readonly runtimeHandler: string;
  /** `creating` is never seen from outside: what is found so after a crash is taken down. */
  phase: 'creating' | 'ready' | 'stopped';
  /** Name in /run/netns; empty: the host's network. */
  readonly netns: string;
  /** The pod's end of the pair is eth0, this one is on the host. */
  readonly hostInterface: string;
  address: string;
}

export interface Process {
  readonly pid: number;
  /** Ticks since the machine's start: tells the process from a later one with the same number. */
  readonly startTime: string;
}

export interface Container {
  readonly id: string;
  readonly sandboxId: string;
  readonly config: ContainerConfig;
  readonly imageId: string;
  readonly createdAt: bigint;
  /** `starting` means that a shim may be there; what is found so after a crash is looked into. */
  phase: 'creating' | 'created' | 'starting' | 'running' | 'exited';
  process?: Process;
  /** Tells the container's processes from all others, when there is no cgroup of theirs. */
  mountNamespace?: string;
  startedAt: bigint;
  finishedAt: bigint;
  exitCode: number;
  reason: string;
  message: string;
}

type Saved<T> = Omit<T, 'config'> & { config: string };

const toJson = (record: Sandbox | Container, configType: string): string =>
  JSON.stringify({ ...record, config: encodeMessage(configType, record.config).toString('base64') },
    (_, value: unknown) => (typeof value === 'bigint' ? { ns: String(value) } : value));

function fromJson<T extends Sandbox | Container>(text: string, configType: string): T {
  const saved = JSON.parse(text, (_, value: unknown) =>
    (typeof value === 'object' && value !== null && 'ns' in value && typeof value.ns === 'string' ? BigInt(value.ns) : value)) as Saved<T>;
  return { ...saved, config: decodeMessage(configType, Buffer.from(saved.config, 'base64')) as PodSandboxConfig & ContainerConfig } as unknown as T;
}

/** Writes a file in one step: a reader sees the old text or the new one. */
export function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

class Folder<T extends Sandbox | Container> {
  readonly path: string;
  readonly #configType: string;

  constructor(path: string, configType: string) {
    this.path = path;
    this.#configType = configType;
    mkdirSync(path, { recursive: true, mode: 0o711 });
  }

  /** The folder of one record; it may hold more files beside the record. */
  folder(id: string): string {
    return join(this.path, id);
  }

  save(record: T): void {
    mkdirSync(this.folder(record.id), { recursive: true });
    replaceFile(join(this.folder(record.id), 'record.json'), toJson(record, this.#configType));
  }

  delete(id: string): void {
    rmSync(this.folder(id), { recursive: true, force: true });
  }

  /** All records; folders without a readable one (a crash before the first save) are removed. */
  load(onGarbage: (id: string, error: unknown) => void): T[] {
    return readdirSync(this.path).flatMap((id) => {
      try {
        return [fromJson<T>(readFileSync(join(this.folder(id), 'record.json'), 'utf8'), this.#configType)];
      } catch (error) {
        onGarbage(id, error);
        this.delete(id);
        return [];
      }
    });
  }
}

export interface Records {
  readonly sandboxes: Folder<Sandbox>;
  readonly containers: Folder<Container>;
}

export const openRecords = (root: string): Records => ({
  sandboxes: new Folder<Sandbox>(join(root, 'sandboxes'), 'PodSandboxConfig'),
  containers: new Folder<Container>(join(root, 'containers'), 'ContainerConfig'),
});
