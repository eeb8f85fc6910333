// Every way to break something. A new one is a file beside this one (pause.ts is the shortest example) and a line here: its
// command, --for, `heal`, `faults` and the drills follow from it. What it has to keep to is told in fault.ts and docs/failure-lab.md.
import { apiFault } from './api-fault.ts';
import { clockFault } from './clock.ts';
import type { FaultKind } from './fault.ts';
import { diskFault } from './disk.ts';
import { cpuFault, memoryFault } from './limits.ts';
import { dnsFault } from './network/dns.ts';
import { isolateFault } from './network/isolate.ts';
import { netemFault } from './network/netem.ts';
import { partitionFault } from './network/partition.ts';
import { pauseFault } from './pause.ts';
import { killFault, powerOffFault, stopFault } from './stop.ts';

/** Each kind is handed back only plans that it has made itself. */
export const FAULT_KINDS: readonly FaultKind<unknown>[] = [
  killFault, stopFault, pauseFault, powerOffFault,
  cpuFault, memoryFault, diskFault, clockFault,
  apiFault,
  partitionFault, isolateFault, netemFault, dnsFault,
] as readonly FaultKind<unknown>[];
