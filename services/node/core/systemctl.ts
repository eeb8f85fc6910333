// The words of systemctl: which verb on which unit, and what it prints.

export type SystemctlVerb = 'start' | 'stop' | 'restart' | 'status' | 'is-active' | 'is-enabled' | 'kill';
const VERBS: readonly string[] = ['start', 'stop', 'restart', 'status', 'is-active', 'is-enabled', 'kill'];

export interface SystemctlRequest {
  readonly verb: SystemctlVerb;
  /** Without `.service`. */
  readonly units: readonly string[];
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}
export const succeeded = (stdout = ''): CommandResult => ({ exitCode: 0, stdout, stderr: '' });
export const failed = (exitCode: number, stderr: string): CommandResult => ({ exitCode, stdout: '', stderr: `${stderr}\n` });

export function parseSystemctl(args: readonly string[]): SystemctlRequest | CommandResult {
  const words = args.filter((arg) => !arg.startsWith('-'));
  const [verb, ...units] = words;
  if (verb === undefined) return failed(1, 'usage: systemctl start|stop|restart|status|is-active|is-enabled|kill UNIT...');
  if (verb === 'daemon-reload') return succeeded();
  if (!VERBS.includes(verb)) return failed(1, `Unknown command verb ${verb}.`);
  if (units.length === 0) return failed(1, 'Too few arguments.');
  return { verb: verb as SystemctlVerb, units: units.map((unit) => unit.replace(/\.service$/, '')) };
}

export interface UnitView {
  readonly name: string;
  readonly description: string;
  readonly activeState: 'active' | 'inactive' | 'activating' | 'failed';
  readonly subState: string;
  readonly sinceMs: number;
  readonly pid: number | undefined;
  readonly command: readonly string[];
}

/** Source: systemd's systemctl-show.c, the lines people read. */
export function unitStatusText(unit: UnitView): string {
  const since = `${new Date(unit.sinceMs).toISOString().replace('T', ' ').replace(/\.\d+Z$/, '')} UTC`;
  return [
    `${unit.activeState === 'active' ? '●' : '○'} ${unit.name}.service - ${unit.description}`,
    `     Loaded: loaded (/lib/systemd/system/${unit.name}.service; enabled)`,
    `     Active: ${unit.activeState} (${unit.subState}) since ${since}`,
    ...(unit.pid === undefined ? [] : [`   Main PID: ${unit.pid} (${unit.name})`, `             └─${unit.pid} ${unit.command.join(' ')}`]),
    '',
  ].join('\n');
}
