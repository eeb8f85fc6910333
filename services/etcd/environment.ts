// etcd's environment variables: ETCD_NAME stands for --name and so on; a flag that is given goes before.
// Source: etcd v3.6, pkg/flags (SetFlagsFromEnv).
import type { FlagDefinitions } from '#lib/service/flags.ts';

/** Variables that etcdctl and images set, and that are no flags of the server. */
const OTHERS: ReadonlySet<string> = new Set(['ETCD_UNSUPPORTED_ARCH']);

/** The flags that the environment adds to those of the command line, and the variables that mean nothing. */
export function flagsFromEnvironment(definitions: FlagDefinitions, argv: readonly string[], environment: Readonly<Record<string, string | undefined>>): { flags: string[]; unknown: string[] } {
  const isGiven = (name: string): boolean => argv.some((argument) => new RegExp(`^--?${name}(=|$)`).test(argument));
  const flags: string[] = [];
  const unknown: string[] = [];
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith('ETCD_') || value === undefined || OTHERS.has(variable)) continue;
    const name = variable.slice('ETCD_'.length).toLowerCase().replaceAll('_', '-');
    if (definitions[name] === undefined) unknown.push(variable);
    else if (!isGiven(name) && value !== '') flags.push(`--${name}=${value}`);
  }
  return { flags, unknown };
}
