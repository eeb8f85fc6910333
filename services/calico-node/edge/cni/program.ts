// What every CNI program here is made of.
import { runCommand } from '#lib/service/run-command.ts';
import type { CniCall, CniResult } from '../../core/cni-call.ts';

export interface CniProgram {
  add(call: CniCall): Promise<CniResult>;
  /** May be repeated, and finds nothing to do where the rest has gone already. */
  del(call: CniCall): Promise<void>;
  /** Throws when something of what `add` made is missing. */
  check(call: CniCall): Promise<void>;
}

export const inNetns = (netns: string, program: string, args: readonly string[], input?: string): Promise<string> =>
  runCommand('nsenter', [`--net=${netns}`, program, ...args], input);
