// Whether who connects as a peer comes from an address that its certificate is for, so that a stolen one is of little use elsewhere.
// Source: etcd v3.6, client/pkg/transport/listener_tls.go, checkCertSAN.
import { isIP } from 'node:net';

export interface Resolver {
  /** Both reject when nothing is known. */
  readonly namesOf: (address: string) => Promise<readonly string[]>;
  readonly addressesOf: (name: string) => Promise<readonly string[]>;
}

/** `alternativeNames`: as Node tells them (`DNS:a, IP Address:b`). */
export function namesIn(alternativeNames: string | undefined): { readonly addresses: readonly string[]; readonly dnsNames: readonly string[] } {
  const names = (alternativeNames ?? '').split(', ');
  const after = (prefix: string): string[] => names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  return { addresses: after('IP Address:'), dnsNames: after('DNS:') };
}

/** What is wrong with it, in Go's and etcd's words; undefined: nothing. */
export async function objectionToPeer(alternativeNames: string | undefined, remoteAddress: string, resolver: Resolver): Promise<string | undefined> {
  const { addresses, dnsNames } = namesIn(alternativeNames);
  const remote = remoteAddress.replace(/^::ffff:(?=\d+\.)/, '');
  if (addresses.length + dnsNames.length === 0 || addresses.some((address) => canonical(address) === canonical(remote))) return undefined;
  if (dnsNames.length === 0) return `x509: certificate is valid for ${addresses.join(', ')}, not ${remote}`;
  const { isKnown, problem } = await isHostOf(dnsNames, remote, resolver);
  return isKnown ? undefined : `tls: ${JSON.stringify(remote)} does not match any of DNSNames [${dnsNames.map((name) => JSON.stringify(name)).join(' ')}]${problem === '' ? '' : ` (${problem})`}`;
}

const canonical = (address: string): string => (isIP(address) === 6 ? new URL(`http://[${address}]`).hostname : address);

async function isHostOf(dnsNames: readonly string[], remote: string, { namesOf, addressesOf }: Resolver): Promise<{ readonly isKnown: boolean; readonly problem: string }> {
  let problem = '';
  const orNothing = (error: unknown): readonly string[] => {
    problem = error instanceof Error ? error.message : String(error);
    return [];
  };
  const plain = dnsNames.filter((name) => !name.startsWith('*.'));
  const endings = dnsNames.filter((name) => name.startsWith('*.')).map((name) => name.slice(1));
  const own = (await namesOf(remote).catch(orNothing)).map((name) => name.replace(/\.$/, ''));
  if (own.some((name) => plain.includes(name) || endings.some((ending) => name.endsWith(ending)))) return { isKnown: true, problem };
  for (const name of plain) if ((await addressesOf(name).catch(orNothing)).some((address) => canonical(address) === canonical(remote))) return { isKnown: true, problem };
  return { isKnown: false, problem };
}
