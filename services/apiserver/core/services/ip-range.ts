// An IPv4 range in CIDR notation, counted in numbers.

export interface IpRange {
  readonly cidr: string;
  /** Of the network address. */
  readonly base: number;
  /** Addresses in the range, network and broadcast included. */
  readonly size: number;
}

export function parseAddress(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}
export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}

/** Throws for what is no IPv4 CIDR. */
export function parseIpRange(cidr: string): IpRange {
  const [address = '', bits = ''] = cidr.split('/');
  const start = parseAddress(address);
  const length = Number(bits);
  if (start === undefined || !/^\d{1,2}$/.test(bits) || length > 30) throw new Error(`invalid IPv4 CIDR "${cidr}"`);
  const size = 2 ** (32 - length);
  return { cidr, base: start - (start % size), size };
}
