// Which addresses may stand behind a service: no loopback, no link-local ones. Source: ValidateEndpointIP.
import { invalid, type FieldError } from '#lib/machinery/field-error.ts';
import { IP_TEXT, isIpAddress, parseIp } from '#lib/machinery/ip.ts';

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);
const isLoopback = (bytes: Uint8Array): boolean => (bytes.length === 4 ? bytes[0] === 127 : bytes[15] === 1 && isZero(bytes.subarray(0, 15)));
const isLinkLocal = ([first = 0, second = 0, ...rest]: Uint8Array): boolean => (rest.length === 2 ? first === 169 && second === 254 : first === 0xfe && (second & 0xc0) === 0x80);
const isLinkLocalMulticast = ([first = 0, second = 0, third = 0, ...rest]: Uint8Array): boolean =>
  (rest.length === 1 ? first === 224 && second === 0 && third === 0 : first === 0xff && (second & 0x0f) === 0x02);

export function validateEndpointIp(address: string, path: string): FieldError[] {
  const bytes = isIpAddress(address) ? parseIp(address) : undefined;
  if (bytes === undefined) return [invalid(path, address, IP_TEXT)];
  const errors: FieldError[] = [];
  if (isZero(bytes)) errors.push(invalid(path, address, `may not be unspecified (${address})`));
  if (isLoopback(bytes)) errors.push(invalid(path, address, 'may not be in the loopback range (127.0.0.0/8, ::1/128)'));
  if (isLinkLocal(bytes)) errors.push(invalid(path, address, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)'));
  if (isLinkLocalMulticast(bytes)) errors.push(invalid(path, address, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'));
  return errors;
}
