// Addresses as text, and the names under which they are looked up.
import { parseIpv4 } from '#lib/machinery/ipv4.ts';

export const isIpv4OrIpv6 = (text: string): boolean => parseIpv4(text) !== undefined || (text.includes(':') && isIpv6(text.toLowerCase()));

/** Good enough to tell an address from a name: eight groups, or fewer with one `::`. */
export function isIpv6(text: string): boolean {
  const halves = text.split('::');
  if (halves.length > 2 || !/^[0-9a-f:]+$/.test(text)) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  return groups.every((group) => /^[0-9a-f]{1,4}$/.test(group)) && (halves.length === 2 ? groups.length < 8 : groups.length === 8);
}

/** `10.0.96.10.in-addr.arpa` => `10.96.0.10`; IPv6 in the form that objects carry: shortest, by RFC 5952. */
export function addressOfReverseName(name: string): string | undefined {
  const v4 = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(name)?.[1];
  if (v4 !== undefined) {
    const address = v4.slice(0, -1).split('.').reverse().join('.');
    return parseIpv4(address) === undefined ? undefined : address;
  }
  const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1];
  if (v6 === undefined) return undefined;
  const groups = (v6.replaceAll('.', '').split('').reverse().join('').match(/.{4}/g) ?? []).map((group) => group.replace(/^0+(?=.)/, ''));
  const text = groups.join(':');
  const longest = text.match(/\b0(?::0)+\b/g)?.sort((a, b) => b.length - a.length)[0];
  if (longest === undefined) return text;
  const at = text.indexOf(longest);
  return `${text.slice(0, at).replace(/:$/, '')}::${text.slice(at + longest.length).replace(/^:/, '')}`;
}
