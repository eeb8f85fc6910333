// Reads the organizations out of a PKCS#10 certificate request: just enough of DER for that.
import { decodeBase64 } from '#lib/machinery/base64.ts';

/** id-at-organizationName, 2.5.4.10. */
const ORGANIZATION = [0x55, 0x04, 0x0a] as const;
const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;
const BMP_STRING = 0x1e;

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
}

class DerError extends Error {}

/** The elements that follow one another in `bytes`. Throws DerError. */
function elements(bytes: Uint8Array): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at] ?? 0;
    let length = bytes[at + 1] ?? 0x80;
    let start = at + 2;
    if (length > 0x84 || length === 0x80) throw new DerError('length');
    if (length > 0x80) {
      const size = length - 0x80;
      length = 0;
      for (const digit of bytes.subarray(start, start + size)) length = length * 256 + digit;
      start += size;
    }
    if (start + length > bytes.length) throw new DerError('truncated');
    found.push({ tag, content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return found;
}

function child(element: Element | undefined, index: number): Element {
  if (element?.tag !== SEQUENCE) throw new DerError('no sequence');
  const found = elements(element.content)[index];
  if (!found) throw new DerError('too few elements');
  return found;
}

const textOf = ({ tag, content }: Element): string => (tag === BMP_STRING
  ? String.fromCharCode(...Array.from({ length: content.length >> 1 }, (_, index) => (content[2 * index] ?? 0) * 256 + (content[2 * index + 1] ?? 0)))
  : new TextDecoder().decode(content));

function organizationsOf(der: Uint8Array): string[] {
  const subject = child(child(elements(der)[0], 0), 1); // request, its info, version before subject
  if (subject.tag !== SEQUENCE) throw new DerError('no name');
  return elements(subject.content).flatMap(({ content }) => elements(content)).flatMap((attribute) => {
    const [type, value] = [child(attribute, 0), child(attribute, 1)];
    const isOrganization = type.tag === OBJECT_IDENTIFIER && type.content.length === ORGANIZATION.length && ORGANIZATION.every((byte, index) => type.content[index] === byte);
    return isOrganization ? [textOf(value)] : [];
  });
}

/** `request`: base64 of PEM, as in a CertificateSigningRequest. Undefined: it is none. */
export function csrOrganizations(request: string): string[] | undefined {
  try {
    const pem = new TextDecoder().decode(decodeBase64(request));
    const [, body] = /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END (?:NEW )?CERTIFICATE REQUEST-----/.exec(pem) ?? [];
    return body === undefined ? undefined : organizationsOf(decodeBase64(body.replace(/\s+/g, '')));
  } catch (error) {
    if (error instanceof DerError || (error instanceof Error && error.name === 'InvalidCharacterError')) return undefined;
    throw error;
  }
}
