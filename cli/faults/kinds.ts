// Every way to break something; a new one is a file and a line here.
import type { FaultKind } from './fault.ts';
import { pauseFault } from './pause.ts';

/** Each kind is handed back only plans that it has made itself. */
export const FAULT_KINDS: readonly FaultKind<unknown>[] = [pauseFault] as readonly FaultKind<unknown>[];
