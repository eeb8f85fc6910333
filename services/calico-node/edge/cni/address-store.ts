// Which addresses of this node's blocks belong to which sandbox: a file for each address, as the plugin host-local keeps them.
// Several programs deal at the same time; an address belongs to whoever could link its file.
import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAddress, nextAddress, parseAddress, parseBlock } from '#lib/pod-network/addresses.ts';

/** Where host-local has its own: on the host's disk, for what runs outlives the runtime, and the last address a boot. */
const FOLDER = '/var/lib/cni/networks';
const LAST = 'last_reserved_ip.0';
const ADDRESS = /^\d+\.\d+\.\d+\.\d+$/;

export interface AddressOwner {
  readonly containerId: string;
  readonly device: string;
}

export class AddressStore {
  readonly #folder: string;

  constructor(network: string, folder = FOLDER) {
    this.#folder = join(folder, network);
    mkdirSync(this.#folder, { recursive: true });
  }

  /** The owner's address, or else the next after the last dealt. `inUse`: addresses that others use. Throws when none is left. */
  take(owner: AddressOwner, blocks: readonly string[], inUse: readonly string[]): string {
    const own = this.of(owner)[0];
    if (own !== undefined) return own;
    const ranges = blocks.map(parseBlock);
    const taken = new Set([...inUse, ...this.#all()].map(parseAddress));
    const unfinished = join(this.#folder, `.${owner.containerId}.${process.pid}`);
    writeFileSync(unfinished, text(owner));
    try {
      for (let last = this.#last(); ;) {
        const next = nextAddress(ranges, last, taken);
        if (next === undefined) throw new Error('failed to request IPv4 addresses: no more free addresses in the node\'s blocks');
        if (this.#link(unfinished, formatAddress(next))) return this.#remember(formatAddress(next));
        taken.add(next);
        last = next;
      }
    } finally {
      rmSync(unfinished, { force: true });
    }
  }

  of(owner: AddressOwner): string[] {
    return this.#all().filter((address) => this.#read(address)?.trim() === text(owner).trim());
  }

  release(owner: AddressOwner): void {
    for (const address of this.of(owner)) rmSync(join(this.#folder, address), { force: true });
  }

  #all(): string[] {
    return readdirSync(this.#folder).filter((name) => ADDRESS.test(name));
  }

  #last(): number | undefined {
    const last = this.#read(LAST)?.trim() ?? '';
    return ADDRESS.test(last) ? parseAddress(last) : undefined;
  }

  #link(from: string, address: string): boolean {
    try {
      linkSync(from, join(this.#folder, address));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      return false; // somebody else was faster
    }
  }

  #remember(address: string): string {
    const unfinished = join(this.#folder, `.last.${process.pid}`);
    writeFileSync(unfinished, address);
    renameSync(unfinished, join(this.#folder, LAST));
    return address;
  }

  #read(name: string): string | undefined {
    try {
      return readFileSync(join(this.#folder, name), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return undefined; // released meanwhile, or never written
    }
  }
}

const text = ({ containerId, device }: AddressOwner): string => `${containerId}\r\n${device}`;
