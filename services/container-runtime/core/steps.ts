// What a process does to itself between its start and the program it becomes: joins namespaces, mounts, gives up rights.
// The plan is made here as data; edge/step-runner.ts carries it out by system calls.

export const MS = {
  RDONLY: 1, NOSUID: 2, NODEV: 4, NOEXEC: 8, REMOUNT: 32, BIND: 4096, REC: 16384, PRIVATE: 1 << 18, SLAVE: 1 << 19, SHARED: 1 << 20,
  STRICTATIME: 1 << 24,
} as const;

export type Step =
  /** Where to report to, FIFOs or files: `started PID STARTTIME` at once, `error TEXT` when a step fails. They are closed by the exec. */
  | { readonly do: 'report'; readonly paths: readonly string[] }
  /** Removes a file that is no longer needed, such as the steps themselves. */
  | { readonly do: 'forget'; readonly path: string }
  /** Move into a cgroup: write to its cgroup.procs. */
  | { readonly do: 'cgroup'; readonly path: string }
  | { readonly do: 'write'; readonly path: string; readonly text: string; readonly mayFail?: boolean }
  /** Opens all the namespace files first, then enters them in this order. */
  | { readonly do: 'join'; readonly namespaces: readonly string[] }
  /** A mount namespace of its own, which still receives what the host mounts. */
  | { readonly do: 'unshare-mounts' }
  | { readonly do: 'mount'; readonly source: string; readonly target: string; readonly type: string; readonly flags: number; readonly data: string; readonly mayFail?: boolean }
  /** Make `root` (a mount point) the root and let go of the old one. */
  | { readonly do: 'pivot'; readonly root: string }
  /** A session of its own; with `terminal` the standard input becomes its controlling terminal. */
  | { readonly do: 'session'; readonly terminal: boolean }
  | { readonly do: 'hostname'; readonly name: string }
  | { readonly do: 'directory'; readonly path: string }
  | { readonly do: 'user'; readonly uid: number; readonly gid: number; readonly groups: readonly number[] | undefined; readonly drop: readonly number[]; readonly noNewPrivileges: boolean }
  | { readonly do: 'environment'; readonly variables: readonly string[] }
  | { readonly do: 'program'; readonly argv: readonly string[] };

/** The operation and its arguments, as the runner reads them. */
function fields(step: Step): readonly (string | number)[] {
  switch (step.do) {
    case 'report': return step.paths;
    case 'forget': case 'cgroup': case 'directory': return [step.path];
    case 'write': return [step.path, step.text, step.mayFail ? 1 : 0];
    case 'join': return step.namespaces;
    case 'unshare-mounts': return [];
    case 'mount': return [step.source, step.target, step.type, step.flags, step.data, step.mayFail ? 1 : 0];
    case 'pivot': return [step.root];
    case 'session': return [step.terminal ? 1 : 0];
    case 'hostname': return [step.name];
    case 'user': return [step.uid, step.gid, step.groups?.join(' ') ?? 'keep', step.drop.join(' '), step.noNewPrivileges ? 1 : 0];
    case 'environment': return step.variables;
    case 'program': return step.argv;
  }
}

/** NUL-separated: for each step its name, the number of its arguments, the arguments. Throws for a NUL inside. */
export function encodeSteps(steps: readonly Step[]): string {
  const all = steps.flatMap((step) => {
    const args = fields(step);
    return [step.do, args.length, ...args];
  }).map(String);
  if (all.some((field) => field.includes('\0'))) throw new Error('a path, an argument or an environment variable contains a NUL byte');
  return `${all.join('\0')}\0`;
}
