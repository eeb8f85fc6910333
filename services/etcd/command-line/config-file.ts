// --config-file: YAML whose keys are the names of flags, but for what secures the transport.
// Source: etcd v3.6, server/embed/config.go (configYAML, configJSON, securityConfig), etcd.conf.yml.sample.
import { parse, YAMLParseError } from 'yaml';
import { CommandLineError } from './command-line-error.ts';

type Value = string | number | boolean | readonly Value[] | { readonly [key: string]: Value } | null;
type Fields = Readonly<Record<string, Value>>;
const isMap = (value: Value | undefined): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Flags of the sections, by their keys there. */
const SECTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'client-transport-security': {
    'cert-file': 'cert-file', 'key-file': 'key-file', 'client-cert-file': 'client-cert-file', 'client-key-file': 'client-key-file', 'client-cert-auth': 'client-cert-auth', 'trusted-ca-file': 'trusted-ca-file', 'auto-tls': 'auto-tls',
    'allowed-hostname': 'client-cert-allowed-hostname',
  },
  'peer-transport-security': {
    'cert-file': 'peer-cert-file', 'key-file': 'peer-key-file', 'client-cert-file': 'peer-client-cert-file', 'client-key-file': 'peer-client-key-file', 'client-cert-auth': 'peer-client-cert-auth', 'trusted-ca-file': 'peer-trusted-ca-file',
    'auto-tls': 'peer-auto-tls', 'allowed-cn': 'peer-cert-allowed-cn', 'allowed-hostname': 'peer-cert-allowed-hostname', 'skip-client-san-verification': 'peer-skip-client-san-verification',
  },
  'socket-options': { 'reuse-port': 'socket-reuse-port', 'reuse-address': 'socket-reuse-address' },
};
/** The file has these in sections, or not at all. */
const NOT_IN_FILES: ReadonlySet<string> = new Set([
  ...Object.values(SECTIONS).flatMap((section) => Object.values(section)), 'client-crl-file', 'peer-crl-file', 'config-file', 'version', 'raft-read-timeout', 'raft-write-timeout', 'discovery-fallback',
  'discovery-endpoints', 'discovery-token', 'discovery-dial-timeout', 'discovery-request-timeout', 'discovery-keepalive-time', 'discovery-keepalive-timeout', 'discovery-insecure-transport',
  'discovery-insecure-skip-tls-verify', 'discovery-cert', 'discovery-key', 'discovery-cacert', 'discovery-user', 'discovery-password',
]);
/** A number of these is in nanoseconds, as a Go time.Duration has it in JSON. */
const IS_DURATION = /-(interval|time|timeout|duration)$/;
const IN_MILLISECONDS: ReadonlySet<string> = new Set(['heartbeat-interval', 'election-timeout']);

/** Unknown keys mean nothing, as with etcd. Throws CommandLineError. */
export function flagsFromConfigFile(text: string, known: Iterable<string>): { readonly name: string; readonly value: string }[] {
  const fields = parseYaml(text);
  const flags: { name: string; value: string }[] = [];
  const add = (name: string, value: Value): void => {
    if (value !== null) flags.push({ name, value: textOf(name, value) });
  };
  const names = new Set(known);
  for (const [key, value] of Object.entries(fields)) {
    const section = SECTIONS[key];
    if (section === undefined) {
      if (names.has(key) && !NOT_IN_FILES.has(key)) add(key, value);
    } else if (isMap(value)) {
      for (const [inner, flag] of Object.entries(section)) if (value[inner] !== undefined) add(flag, value[inner]);
    } else if (value !== null) throw new CommandLineError(`invalid ${key}`, 1);
  }
  return flags;
}

function parseYaml(text: string): Fields {
  let value: Value;
  try {
    value = parse(text, { maxAliasCount: 0 }) as Value;
  } catch (error) {
    if (!(error instanceof YAMLParseError) && !(error instanceof ReferenceError)) throw error;
    throw new CommandLineError(`error converting YAML to JSON: yaml: ${error.message}`, 1);
  }
  if (value === null) return {};
  if (!isMap(value)) throw new CommandLineError('error unmarshaling JSON: cannot unmarshal into Go value of type embed.configYAML', 1);
  return value;
}

function textOf(name: string, value: Value): string {
  if (Array.isArray(value)) return value.map((item: Value) => textOf(name, item)).join();
  if (isMap(value)) throw new CommandLineError(`error unmarshaling JSON: while decoding JSON: json: cannot unmarshal object into Go struct field configYAML.${name}`, 1);
  const isDuration = IS_DURATION.test(name) && !IN_MILLISECONDS.has(name);
  if (isDuration && typeof value === 'string') throw new CommandLineError(`error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go struct field configYAML.${name} of type time.Duration`, 1);
  return typeof value === 'number' && isDuration ? `${value}ns` : String(value);
}
