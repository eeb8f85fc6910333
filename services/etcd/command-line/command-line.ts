// What etcd is started with: flags, or a configuration file that replaces them, and environment variables.
// Source: etcd v3.6, server/etcdmain/config.go.
import { readFileSync } from 'node:fs';
import { FlagError, parseFlags } from '#lib/service/flags.ts';
import { CommandLineError } from './command-line-error.ts';
import { flagsFromEnvironment } from './environment.ts';
import { etcdFlags } from './flags.ts';
import { checkRenamed, currentNameOf, deprecationsOf } from './renamed-flags.ts';

/** Something to be logged once there is a log. */
export interface Note {
  readonly level: 'info' | 'warn';
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}

export interface CommandLine {
  /** All under their current names. */
  readonly flags: readonly string[];
  readonly notes: readonly Note[];
}

interface Given {
  readonly name: string;
  readonly value: string;
}

const MAX_CONFIG_FILE_BYTES = 1024 * 1024;

/** Rejects with CommandLineError. */
export async function readCommandLine(argv: readonly string[], environment: Readonly<Record<string, string | undefined>>): Promise<CommandLine> {
  const given = splitFlags(argv);
  const configFile = given.findLast(({ name }) => name === 'config-file')?.value ?? environment['ETCD_CONFIG_FILE'] ?? '';
  const { all, notes } = configFile === '' ? withEnvironment(given, environment) : await withConfigFile(configFile);
  const names = new Set(all.map(({ name }) => name));
  checkRenamed(names);
  const flags = all.map(({ name, value }) => `--${currentNameOf(name)}=${value}`);
  return { flags, notes: [...notes, ...deprecationsOf(names).map((message) => ({ level: 'warn', message }) as const)] };
}

function withEnvironment(given: readonly Given[], environment: Readonly<Record<string, string | undefined>>): { all: readonly Given[]; notes: Note[] } {
  const version = environment['ETCD_VERSION'] ?? '';
  const { flags, unknown } = flagsFromEnvironment(knownFlags(), new Set(given.map(({ name }) => name)), { ...environment, ETCD_VERSION: undefined });
  for (const { name, value, variable } of flags) {
    const problem = problemOf({ name, value });
    if (problem !== undefined) throw new CommandLineError(`invalid value ${JSON.stringify(value)} for ${variable}: ${problem}`, 1);
  }
  return {
    all: [...flags, ...given],
    notes: [
      ...(version === '' ? [] : [{ level: 'warn', message: 'cannot set special environment variable', fields: { key: 'ETCD_VERSION', value: version } } as const]),
      ...flags.map(({ variable, value }) => ({ level: 'info', message: 'recognized and used environment variable', fields: { 'variable-name': variable, 'variable-value': value } }) as const),
      ...unknown.map((variable) => ({ level: 'warn', message: 'unrecognized environment variable', fields: { 'environment-variable': variable } }) as const),
    ],
  };
}

async function withConfigFile(path: string): Promise<{ all: readonly Given[]; notes: Note[] }> {
  const { flagsFromConfigFile } = await import('./config-file.ts'); // a parser of YAML that hardly anybody needs
  const all = flagsFromConfigFile(readConfigFile(path), knownFlags());
  for (const flag of all) {
    const problem = problemOf(flag);
    if (problem !== undefined) throw new CommandLineError(`invalid value ${JSON.stringify(flag.value)} for ${flag.name} in ${path}: ${problem}`, 1);
  }
  return { all, notes: [{ level: 'info', message: 'loaded server configuration, other configuration command line flags and environment variables will be ignored if provided', fields: { path } }] };
}

function readConfigFile(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new CommandLineError((error as NodeJS.ErrnoException).code === 'ENOENT' ? `open ${path}: no such file or directory` : `open ${path}: ${(error as Error).message}`, 1);
  }
  if (text.length > MAX_CONFIG_FILE_BYTES) throw new CommandLineError(`${path} is larger than ${MAX_CONFIG_FILE_BYTES} bytes`, 1);
  return text;
}

function* knownFlags(): Generator<string> {
  for (const name of Object.keys(etcdFlags)) yield name;
  for (const name of Object.keys(etcdFlags)) if (currentNameOf(`experimental-${name}`) === name) yield `experimental-${name}`;
  yield 'experimental-snapshot-catch-up-entries';
}

type Definitions = Readonly<Record<string, (typeof etcdFlags)[keyof typeof etcdFlags] | undefined>>;
const definitionOf = (flag: string): Definitions[string] => (etcdFlags as Definitions)[currentNameOf(flag)];

function problemOf({ name, value }: Given): string | undefined {
  try {
    parseFlags(etcdFlags, [`--${currentNameOf(name)}=${value}`]);
    return undefined;
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
    return error.message.replace(/^invalid argument [\s\S]* flag: /, '').replace(/^(must be an integer|must be true or false|time: invalid duration .*)$/, 'parse error');
  }
}

/** As Go's flag package reads and refuses them. */
function splitFlags(argv: readonly string[]): Given[] {
  const all: Given[] = [];
  for (let at = 0; at < argv.length; at += 1) {
    const argument = argv[at] ?? '';
    if (!/^--?[^-]/.test(argument)) throw new CommandLineError(`${JSON.stringify(argument)} is not a valid flag`, 1);
    const [, name = '', inline] = /^--?([^=]*)(?:=([\s\S]*))?$/.exec(argument) ?? [];
    const definition = definitionOf(name);
    if (definition === undefined) throw new CommandLineError(`flag provided but not defined: -${name}`, 2);
    const value = inline ?? (definition.isBoolean ? 'true' : argv[(at += 1)]);
    if (value === undefined) throw new CommandLineError(`flag needs an argument: -${name}`, 2);
    const problem = problemOf({ name, value });
    if (problem !== undefined) throw new CommandLineError(`invalid ${definition.isBoolean ? 'boolean ' : ''}value ${JSON.stringify(value)} for ${definition.isBoolean ? '' : 'flag '}-${name}: ${problem}`, 2);
    all.push({ name, value });
  }
  return all;
}
