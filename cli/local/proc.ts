// What /proc of the machine tells about processes: parents, start times, names, memory.
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessFacts {
  readonly pid: number;
  readonly parentPid: number;
  /** As the process calls itself (argv[0]). */
  readonly title: string;
  readonly argv: readonly string[];
  /** `S`, `R`, `T` (stopped), `Z` ... */
  readonly state: string;
}

/** Reads a file of /proc; undefined when the process has ended meanwhile. */
function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

function statFields(pid: number): string[] | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Start of a process in clock ticks since boot: with the pid it names a process for good. */
export function startTicksOf(pid: number): string | undefined {
  const fields = statFields(pid);
  return fields === undefined || fields[0] === 'Z' ? undefined : fields[19];
}

const TICKS_PER_SECOND = 100;

/** How long a process has been running; Infinity when it is gone. Seconds. */
export function ageOf(pid: number): number {
  const ticks = startTicksOf(pid);
  return ticks === undefined ? Infinity : Number(readProc('/proc/uptime')?.split(' ')[0] ?? 0) - Number(ticks) / TICKS_PER_SECOND;
}

export function allProcesses(): ProcessFacts[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    const pid = Number(name);
    const fields = statFields(pid);
    const cmdline = readProc(`/proc/${pid}/cmdline`);
    if (fields === undefined || cmdline === undefined) return [];
    const argv = cmdline.replace(/\0+$/, '').split('\0');
    return [{ pid, parentPid: Number(fields[1]), state: fields[0] ?? '', title: (argv[0] ?? '').trim(), argv }];
  });
}

export function descendantsOf(root: number, processes: readonly ProcessFacts[]): ProcessFacts[] {
  const children = groupByParent(processes);
  const found: ProcessFacts[] = [];
  const queue = [root];
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    for (const child of children.get(pid) ?? []) {
      found.push(child);
      queue.push(child.pid);
    }
  }
  return found;
}

function groupByParent(processes: readonly ProcessFacts[]): Map<number, ProcessFacts[]> {
  const children = new Map<number, ProcessFacts[]>();
  for (const process of processes) {
    const siblings = children.get(process.parentPid);
    if (siblings) siblings.push(process);
    else children.set(process.parentPid, [process]);
  }
  return children;
}

/** Proportional set size: shared pages count in part. Where only a debugger may see that, what the process has to itself. Bytes; 0 when it has ended. */
export function pssBytesOf(pid: number): number {
  let text: string | undefined;
  try {
    text = readProc(`/proc/${pid}/smaps_rollup`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error; // of another group, in a container without the right to trace
    text = readProc(`/proc/${pid}/status`);
  }
  const match = /^(?:Pss|RssAnon):\s+(\d+) kB/m.exec(text ?? '');
  return match ? Number(match[1]) * 1024 : 0;
}

