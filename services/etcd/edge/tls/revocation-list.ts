// A list of certificates that hold no longer (--client-crl-file, --peer-crl-file), read for each connection, as etcd does it: who
// replaces the file need not restart anything. Source: etcd v3.6, client/pkg/transport/listener_tls.go (checkCRL).
import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileError, TlsError } from './tls-error.ts';

export class RevocationList {
  private readonly path: string;
  private parsed: { readonly content: Buffer; readonly serials: ReadonlySet<string> } | undefined;

  /** `path`: DER. */
  constructor(path: string) {
    this.path = path;
  }

  /** What is wrong with one of them, or with the list; undefined: nothing. Who issued the list and when it ends does not count, as with etcd. */
  async objectionTo(chain: readonly Pick<X509Certificate, 'serialNumber'>[]): Promise<string | undefined> {
    if (chain.length === 0) return undefined;
    try {
      const revoked = await this.read();
      const serial = chain.map(({ serialNumber }) => serialOf(serialNumber)).find((one) => revoked.has(one));
      return serial === undefined ? undefined : `transport: certificate serial ${serial} revoked`;
    } catch (error) {
      if (!(error instanceof TlsError)) throw error;
      return error.message; // nobody can say that it is not revoked
    }
  }

  private async read(): Promise<ReadonlySet<string>> {
    const content = await readFile(this.path).catch((error: unknown) => {
      throw fileError(this.path, error);
    });
    if (this.parsed?.content.equals(content) !== true) this.parsed = { content, serials: serialsIn(content) };
    return this.parsed.serials;
  }
}

/** Whole bytes, as Go prints them. */
function serialOf(hex: string): string {
  const digits = hex.toLowerCase().replace(/^0+/, '');
  return digits.length % 2 === 0 ? digits : `0${digits}`;
}

const INTEGER = 0x02;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const SEQUENCE = 0x30;

interface Element {
  readonly tag: number;
  readonly content: Buffer;
}

/** Throws RangeError where DER ends too early. */
function elementsIn(der: Buffer): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < der.length;) {
    const tag = der.readUInt8(at);
    const first = der.readUInt8(at + 1);
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
    const length = lengthBytes === 0 ? first : der.readUIntBE(at + 2, lengthBytes);
    const start = at + 2 + lengthBytes;
    at = start + length;
    if (at > der.length) throw new RangeError('an element is longer than what holds it');
    elements.push({ tag, content: der.subarray(start, at) });
  }
  return elements;
}

/**
 * Source: RFC 5280 §5.1, CertificateList. Read by hand: of a list without nextUpdate, @peculiar/x509 sees no entries, and would let everybody in.
 * Throws TlsError.
 */
function serialsIn(der: Buffer): ReadonlySet<string> {
  try {
    const [list, ...rest] = elementsIn(der);
    const [signed, ...signature] = partsOf(list);
    if (rest.length > 0 || signature.length !== 2) throw new RangeError('a list has three parts');
    const parts = partsOf(signed);
    if (parts[0]?.tag === INTEGER) parts.shift(); // version
    const [algorithm, issuer, thisUpdate, ...more] = parts;
    if (algorithm?.tag !== SEQUENCE || issuer?.tag !== SEQUENCE || !isTime(thisUpdate)) throw new RangeError('a list has an issuer and a time');
    const revoked = isTime(more[0]) ? more[1] : more[0]; // nextUpdate is optional
    return new Set(revoked?.tag === SEQUENCE ? partsOf(revoked).map((entry) => serialIn(entry)) : []);
  } catch (error) {
    throw new TlsError('x509: malformed crl', { cause: error });
  }
}

const isTime = (element: Element | undefined): boolean => element?.tag === UTC_TIME || element?.tag === GENERALIZED_TIME;

function partsOf(element: Element | undefined): Element[] {
  if (element?.tag !== SEQUENCE) throw new RangeError('a sequence is missing');
  return elementsIn(element.content);
}

function serialIn(entry: Element): string {
  const [serial] = partsOf(entry);
  if (serial?.tag !== INTEGER) throw new RangeError('an entry has a serial number');
  return serialOf(serial.content.toString('hex'));
}
