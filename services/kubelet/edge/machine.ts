// What the kubelet reads of the machine it runs on.
import { readFile, statfs } from 'node:fs/promises';
import { availableParallelism, arch, cpus, release } from 'node:os';
import type { MachineFacts } from '../core/node-status.ts';

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'arm', ia32: '386' };

const textOf = (path: string): Promise<string> => readFile(path, 'utf8').then((text) => text.trim(), () => ''); // not every host has each of these files

async function memoryInfo(): Promise<(name: string) => number> {
  const text = await readFile('/proc/meminfo', 'utf8');
  return (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
}

export async function readMachine(storagePath: string): Promise<MachineFacts> {
  const [memory, { blocks, bsize }, machineId, uuid, bootId, osRelease] = await Promise.all([
    memoryInfo(), statfs(storagePath), textOf('/etc/machine-id'), textOf('/sys/class/dmi/id/product_uuid'), textOf('/proc/sys/kernel/random/boot_id'), textOf('/etc/os-release'),
  ]);
  return {
    cpuCount: cpus().length || availableParallelism(),
    memoryBytes: memory('MemTotal'),
    swapBytes: memory('SwapTotal'),
    storageBytes: blocks * bsize,
    machineId, bootId,
    systemUuid: uuid === '' ? machineId : uuid,
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)"?/m.exec(osRelease)?.[1] ?? 'Linux',
    architecture: ARCHITECTURES[arch()] ?? arch(),
  };
}
