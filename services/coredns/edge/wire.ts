// DNS messages on the wire: requests decoded by dns-packet, replies encoded here, with compressed names and cut to what
// the client takes.
import packet, { type DecodedPacket } from 'dns-packet';
import types from 'dns-packet/types.js';
import { RCODE_NUMBERS, type DnsRecord, type Question, type Rcode, type Reply, type SoaData, type SrvData } from '../core/message.ts';

/** UDP answers without EDNS. Bytes; RFC 1035. */
const PLAIN_UDP_LIMIT = 512;
/** Largest UDP answer, whatever the client says it takes: above it fragments get lost. Bytes. */
const EDNS_UDP_LIMIT = 4096;
const TCP_LIMIT = 65_535;
const TYPE_OPT = 41;
const CLASS_IN = 1;

export interface Request {
  readonly id: number;
  readonly question: Question;
  /** The question as it came: it goes back byte for byte. */
  readonly rawQuestion: Buffer;
  readonly isRecursionDesired: boolean;
  readonly isCheckingDisabled: boolean;
  /** Undefined without EDNS. */
  readonly edns: { readonly udpSize: number; readonly isDnssecOk: boolean } | undefined;
}

/** A request that can be told from noise but not be answered as asked; or `noise`, which gets no answer. */
export type Decoded = { readonly kind: 'request'; readonly request: Request } | { readonly kind: 'refuse'; readonly answer: Buffer } | { readonly kind: 'noise' };

export function decodeRequest(message: Buffer): Decoded {
  if (message.length < 12) return { kind: 'noise' };
  const flags = message.readUInt16BE(2);
  if ((flags & 0x8000) !== 0) return { kind: 'noise' }; // an answer: to reply to it could go on for ever
  const refuse = (rcode: Rcode): Decoded => {
    const header = Buffer.alloc(12);
    header.writeUInt16BE(message.readUInt16BE(0), 0);
    header.writeUInt16BE(0x8000 | (flags & 0x7900) | RCODE_NUMBERS[rcode], 2);
    return { kind: 'refuse', answer: header };
  };
  if ((flags & 0x7800) !== 0) return refuse('NOTIMP');
  if (message.readUInt16BE(4) !== 1) return refuse('FORMERR');
  let decoded: DecodedPacket;
  try {
    decoded = packet.decode(message);
  } catch {
    return refuse('FORMERR');
  }
  const asked = decoded.questions?.[0];
  const questionEnd = endOfQuestion(message);
  if (!asked || questionEnd === undefined) return refuse('FORMERR');
  const opt = decoded.additionals?.find(({ type }) => type === 'OPT') as { udpPayloadSize?: number; flags?: number } | undefined;
  return {
    kind: 'request',
    request: {
      id: decoded.id ?? 0,
      question: { name: asked.name === '.' ? '' : asked.name, type: asked.type, class: asked.class ?? 'IN' },
      rawQuestion: message.subarray(12, questionEnd),
      isRecursionDesired: (flags & 0x0100) !== 0,
      isCheckingDisabled: (flags & 0x0010) !== 0,
      edns: opt && { udpSize: opt.udpPayloadSize ?? PLAIN_UDP_LIMIT, isDnssecOk: ((opt.flags ?? 0) & 0x8000) !== 0 },
    },
  };
}

/** Offset behind the first question; undefined when its name is compressed, which nothing before it could be the target of. */
function endOfQuestion(message: Buffer): number | undefined {
  let at = 12;
  for (let length = message[at]; length !== 0; length = message[at]) {
    if (length === undefined || length > 63) return undefined;
    at += length + 1;
  }
  return at + 5 <= message.length ? at + 5 : undefined;
}

/** Records that do not fit are left out, and a UDP client is told to ask again by TCP. */
export function encodeReply({ id, question, rawQuestion, isRecursionDesired, isCheckingDisabled, edns }: Request, reply: Reply, transport: 'udp' | 'tcp'): Buffer {
  const limit = transport === 'tcp' ? TCP_LIMIT : edns ? Math.min(Math.max(edns.udpSize, PLAIN_UDP_LIMIT), EDNS_UDP_LIMIT) : PLAIN_UDP_LIMIT;
  const writer = new Writer(limit - (edns ? 11 : 0));
  const { header } = writer;
  writer.question(rawQuestion, question.name);
  const counts = [reply.answers, reply.authorities, reply.additionals].map((records) => records.reduce((written, record) => written + (writer.record(record) ? 1 : 0), 0));
  // Additional records are a courtesy; only answers and the authority behind a denial are missed.
  const isTruncated = (counts[0] ?? 0) < reply.answers.length || (counts[1] ?? 0) < reply.authorities.length;
  if (edns) writer.opt(edns);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(0x8000 | (reply.isAuthoritative ? 0x0400 : 0) | (isTruncated ? 0x0200 : 0) | (isRecursionDesired ? 0x0100 : 0)
    | (reply.isRecursionAvailable ? 0x0080 : 0) | (isCheckingDisabled ? 0x0010 : 0) | RCODE_NUMBERS[reply.rcode], 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(counts[0] ?? 0, 6);
  header.writeUInt16BE(counts[1] ?? 0, 8);
  header.writeUInt16BE((counts[2] ?? 0) + (edns ? 1 : 0), 10);
  return writer.bytes();
}

/** An answer of another server. Throws when it is malformed or belongs to another question. */
export function decodeAnswer(message: Buffer, expected: { readonly id: number; readonly question: Question }): Reply & { readonly isTruncated: boolean } {
  const decoded = packet.decode(message);
  const asked = decoded.questions?.[0];
  if (decoded.id !== expected.id || decoded.type !== 'response') throw new Error('answer to another question');
  if (asked && (asked.name.toLowerCase() !== expected.question.name.toLowerCase() || asked.type !== expected.question.type)) throw new Error('answer to another question');
  const records = (list: readonly unknown[] | undefined): DnsRecord[] => ((list ?? []) as DnsRecord[]).filter(({ type }) => type !== 'OPT');
  const flags = message.readUInt16BE(2);
  const rcode = (Object.keys(RCODE_NUMBERS) as Rcode[]).find((name) => RCODE_NUMBERS[name] === (flags & 0x000f)) ?? 'SERVFAIL';
  return {
    rcode, isAuthoritative: (flags & 0x0400) !== 0, isRecursionAvailable: (flags & 0x0080) !== 0, isTruncated: (flags & 0x0200) !== 0,
    answers: records(decoded.answers), authorities: records(decoded.authorities), additionals: records(decoded.additionals),
  };
}

export function encodeQuestion({ id, question }: { readonly id: number; readonly question: Question }): Buffer {
  return packet.encode({
    type: 'query', id, flags: packet.RECURSION_DESIRED,
    questions: [{ name: question.name, type: question.type as 'A', class: question.class as 'IN' }],
    additionals: [{ type: 'OPT', name: '.', udpPayloadSize: 1232, flags: 0, options: [] } as never],
  });
}

interface RecordCodec {
  readonly encode: (data: unknown) => Uint8Array;
}
/** dns-packet's own codecs, which its types do not mention. */
const codecOf = (type: string): RecordCodec => (packet as unknown as { record(type: string): RecordCodec }).record(type);

/** Names below which the compressed form points; offsets above 14 bits cannot be pointed to. */
const POINTER_LIMIT = 0x4000;

class Writer {
  readonly #limit: number;
  #buffer = Buffer.allocUnsafe(PLAIN_UDP_LIMIT);
  #length = 0;
  readonly #names = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The header is filled in last: `bytes` puts it in front. */
  readonly header = Buffer.alloc(12);

  /** Starts the message. */
  question(raw: Buffer, name: string): void {
    this.#grow(12 + raw.length);
    raw.copy(this.#buffer, 12);
    this.#length = 12 + raw.length;
    let at = 12;
    // Only where a character is a byte do the parts of the text stand where the labels do.
    const isPlain = /^[\x21-\x7e]*$/.test(name);
    for (let rest = isPlain ? name.toLowerCase() : ''; rest !== ''; rest = rest.slice((this.#buffer[at] ?? 0) + 1), at += (this.#buffer[at] ?? 0) + 1) this.#names.set(rest, at);
  }

  /** Returns false, having written nothing, when it does not fit any more. */
  record(record: DnsRecord): boolean {
    const start = this.#length;
    const known = this.#names.size;
    this.name(record.name);
    this.uint16(types.toType(record.type));
    this.uint16(CLASS_IN);
    this.#uint32(record.ttl);
    this.#data(record);
    if (this.#length <= this.#limit) return true;
    this.#length = start;
    for (const name of [...this.#names.keys()].slice(known)) this.#names.delete(name);
    return false;
  }

  #data({ type, data }: DnsRecord): void {
    const lengthAt = this.#length;
    this.uint16(0);
    if (type === 'A') {
      this.#grow(4);
      for (const part of (data as string).split('.')) this.#buffer[this.#length++] = Number(part);
    } else if (type === 'CNAME' || type === 'NS' || type === 'PTR') {
      this.name(data as string);
    } else if (type === 'SOA') {
      const soa = data as SoaData;
      this.name(soa.mname);
      this.name(soa.rname);
      for (const value of [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum]) this.#uint32(value);
    } else if (type === 'SRV') {
      const { priority, weight, port, target } = data as SrvData;
      for (const value of [priority, weight, port]) this.uint16(value);
      this.name(target, false);
    } else {
      this.#length = lengthAt;
      const encoded = codecOf(type).encode(data); // with its own length in front
      this.#grow(encoded.length);
      this.#buffer.set(encoded, this.#length);
      this.#length += encoded.length;
      return;
    }
    this.#buffer.writeUInt16BE(this.#length - lengthAt - 2, lengthAt);
  }

  name(name: string, mayPoint = true): void {
    let rest = name.endsWith('.') ? name.slice(0, -1) : name;
    while (rest !== '') {
      const key = rest.toLowerCase();
      const known = this.#names.get(key);
      if (known !== undefined && mayPoint) return this.uint16(0xc000 | known);
      if (known === undefined && this.#length < POINTER_LIMIT) this.#names.set(key, this.#length);
      const dot = rest.indexOf('.');
      const label = Buffer.from(dot < 0 ? rest : rest.slice(0, dot), 'utf8').subarray(0, 63);
      this.#grow(label.length + 1);
      this.#buffer[this.#length] = label.length;
      label.copy(this.#buffer, this.#length + 1);
      this.#length += label.length + 1;
      rest = dot < 0 ? '' : rest.slice(dot + 1);
    }
    this.#grow(1);
    this.#buffer[this.#length++] = 0;
  }

  /** Says what the client said. */
  opt({ udpSize, isDnssecOk }: { readonly udpSize: number; readonly isDnssecOk: boolean }): void {
    this.#grow(11);
    this.#buffer[this.#length++] = 0;
    this.uint16(TYPE_OPT);
    this.uint16(Math.max(PLAIN_UDP_LIMIT, udpSize));
    this.#uint32(isDnssecOk ? 0x8000 : 0);
    this.uint16(0);
  }

  uint16(value: number): void {
    this.#grow(2);
    this.#length = this.#buffer.writeUInt16BE(value & 0xffff, this.#length);
  }

  #uint32(value: number): void {
    this.#grow(4);
    this.#length = this.#buffer.writeUInt32BE(value >>> 0, this.#length);
  }

  #grow(size: number): void {
    if (this.#length + size <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + size));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }

  bytes(): Buffer {
    this.header.copy(this.#buffer, 0);
    return this.#buffer.subarray(0, this.#length);
  }
}
