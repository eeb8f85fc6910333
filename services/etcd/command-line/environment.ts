// etcd's environment variables: ETCD_NAME stands for --name and so on.
// Source: etcd v3.6, pkg/flags (SetFlagsFromEnv).
import { CommandLineError } from './command-line-error.ts';

const PREFIX = 'ETCD_';
const variableOf = (flag: string): string => PREFIX + flag.toUpperCase().replaceAll('-', '_');

export interface FromEnvironment {
  readonly flags: readonly { readonly name: string; readonly value: string; readonly variable: string }[];
  /** `NAME=value` of the variables that mean nothing. */
  readonly unknown: readonly string[];
}

/** `known`: names of all flags; `given`: those on the command line. Throws CommandLineError when one is set in both places. */
export function flagsFromEnvironment(known: Iterable<string>, given: ReadonlySet<string>, environment: Readonly<Record<string, string | undefined>>): FromEnvironment {
  const names = new Map([...known].map((name) => [variableOf(name), name]));
  const flags: { name: string; value: string; variable: string }[] = [];
  const unknown: string[] = [];
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || value === undefined) continue;
    const name = names.get(variable);
    if (name !== undefined && given.has(name)) {
      throw new CommandLineError(`conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or disable flag)): ${variable}`, 1);
    }
    if (name === undefined || value === '') unknown.push(`${variable}=${value}`);
    else flags.push({ name, value, variable });
  }
  return { flags, unknown };
}
