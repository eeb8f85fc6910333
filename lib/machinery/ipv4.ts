// IPv4 addresses and CIDRs as numbers, for reckoning with them.

export interface Cidr {
  /** First address as an unsigned 32-bit number. */
  readonly base: number;
  readonly prefixLength: number;
  /** Addresses in it. */
  readonly size: number;
}

/** The address as an unsigned 32-bit number; undefined for anything but four decimal parts without leading zeros. */
export function parseIpv4(text: string): number | undefined {
  const match = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/.exec(text);
  if (!match) return undefined;
  let value = 0;
  for (const part of match.slice(1)) {
    const octet = Number(part);
    if (octet > 255) return undefined;
    value = value * 256 + octet;
  }
  return value;
}

export function formatIpv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/** Host bits are cleared: `192.168.1.7/24` is 192.168.1.0/24. */
export function parseIpv4Cidr(text: string): Cidr | undefined {
  const [address = '', length, ...rest] = text.split('/');
  const value = parseIpv4(address);
  if (value === undefined || length === undefined || rest.length > 0 || !/^\d{1,2}$/.test(length) || Number(length) > 32) return undefined;
  const size = 2 ** (32 - Number(length));
  return { base: value - (value % size), prefixLength: Number(length), size };
}

export function formatIpv4Cidr({ base, prefixLength }: Pick<Cidr, 'base' | 'prefixLength'>): string {
  return `${formatIpv4(base)}/${prefixLength}`;
}

export function cidrContains(cidr: Cidr, address: number): boolean {
  return address >= cidr.base && address < cidr.base + cidr.size;
}
