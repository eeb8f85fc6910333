// A file of the write-ahead log. Space is set aside in it half a step ahead of its use, filled with zeroes, which end the records for who reads
// them: syncing then need not wait for the file system to account for new blocks.
import { close, constants, ftruncate, open, write } from 'node:fs';
import { promisify } from 'node:util';

/** How bytes reach the disk; replaced in tests. */
export interface WalDisk {
  /** Resolves when all of it is durable. The file was opened with O_DSYNC (unless unsafeNoFsync is set); `bytes` stay as they are until then. */
  readonly append: (fd: number, bytes: Uint8Array, position: number) => Promise<void>;
}

/** Space is set aside in steps of this: few records long, as a record that is synced at the same time waits for it (docs/benchmarks.md). */
const STEP_BYTES = 16 * 1024;
/** For larger writes no space is set aside: to write twice would cost more. */
export const LARGE_WRITE_BYTES = STEP_BYTES / 4;
const ZEROES = Buffer.alloc(STEP_BYTES);

// By other threads: the file system may keep any of these waiting for its journal, write(2) too.
const openFile = promisify<string, number, number, number>(open);
const writeAt = promisify(write);
const closeFile = promisify(close);
const truncateFile = promisify<number, number>(ftruncate);
const { O_CREAT, O_EXCL, O_TRUNC } = constants;

/** Written and synced in one go. */
export const systemDisk: WalDisk = {
  append: async (fd, bytes, position) => {
    for (let at = 0; at < bytes.length;) at += (await writeAt(fd, bytes, at, bytes.length - at, position + at)).bytesWritten;
  },
};

export class WalFile {
  readonly path: string;
  private readonly disk: WalDisk;
  private readonly fd: number;
  /** The system tells a failed sync once to each open file: what is told to this one is not kept from those who wait for records. */
  private readonly roomFd: number;
  private allocated: number;
  /** On its way from `allocated` on. */
  private allocating: Promise<void> | undefined;
  private hasFailed = false;

  private constructor(disk: WalDisk, { path, fd, roomFd, usedBytes }: { readonly path: string; readonly fd: number; readonly roomFd: number; readonly usedBytes: number }) {
    this.disk = disk;
    this.path = path;
    this.fd = fd;
    this.roomFd = roomFd;
    this.allocated = usedBytes;
  }

  /** `flags`: of open(2). What lies behind `usedBytes` is cut off. */
  static async open(disk: WalDisk, { path, flags, usedBytes = 0 }: { readonly path: string; readonly flags: number; readonly usedBytes?: number }): Promise<WalFile> {
    const fd = await openFile(path, flags, 0o600);
    try {
      await truncateFile(fd, usedBytes);
      return new WalFile(disk, { path, fd, roomFd: await openFile(path, flags & ~(O_CREAT | O_EXCL | O_TRUNC), 0o600), usedBytes });
    } catch (error) {
      await closeFile(fd);
      throw error;
    }
  }

  /** Whether less than half a step is set aside behind `end`, and more can be and is not on its way. */
  lacksRoom(end: number): boolean {
    return !this.hasFailed && this.allocating === undefined && this.allocated - end < STEP_BYTES / 2;
  }

  /** Resolves when what lies up to `end` may be written: room that is being made there must not overwrite it. */
  async reached(end: number): Promise<void> {
    if (end > this.allocated) await this.allocating?.catch(() => undefined); // the failure was told to who asked for the room
  }

  /** What lies up to its end must have been `reached`. Resolves when it is durable. */
  append(bytes: Uint8Array, start: number): Promise<void> {
    const appended = this.disk.append(this.fd, bytes, start);
    this.allocated = Math.max(this.allocated, start + bytes.length);
    return appended;
  }

  /** Sets one more step aside. Rejects when it fails, which is told only once: records go on without. */
  makeRoom(): Promise<void> {
    this.allocating = this.disk.append(this.roomFd, ZEROES, this.allocated).then(() => {
      this.allocated += STEP_BYTES;
    }, (error: unknown) => {
      this.hasFailed = true;
      throw error;
    }).finally(() => { this.allocating = undefined; });
    return this.allocating;
  }

  /** Closes the file once it ends at `position`, where its records do. */
  async end(position: number): Promise<void> {
    await this.reached(Infinity);
    await truncateFile(this.fd, position);
    await this.close();
  }

  /** Closes it as it is. */
  async close(): Promise<void> {
    await this.reached(Infinity);
    await closeFile(this.roomFd);
    await closeFile(this.fd);
  }
}
