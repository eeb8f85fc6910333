// DNS messages as the core sees them. Record shapes are those of the dns-packet package.

export type Rcode = 'NOERROR' | 'FORMERR' | 'SERVFAIL' | 'NXDOMAIN' | 'NOTIMP' | 'REFUSED';

export const RCODE_NUMBERS: Readonly<Record<Rcode, number>> = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 };

export interface Question {
  /** As asked, without the dot at the end. */
  readonly name: string;
  readonly type: string;
  readonly class: string;
}

export interface SoaData {
  readonly mname: string;
  readonly rname: string;
  readonly serial: number;
  readonly refresh: number;
  readonly retry: number;
  readonly expire: number;
  readonly minimum: number;
}
export interface SrvData {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}
/** `data` fits the type: text for A, AAAA, CNAME, NS and PTR, SoaData, SrvData, a list of texts for TXT. */
export interface DnsRecord {
  readonly name: string;
  readonly type: string;
  readonly ttl: number;
  readonly class?: string;
  readonly data: unknown;
}

export interface Reply {
  readonly rcode: Rcode;
  readonly isAuthoritative: boolean;
  readonly isRecursionAvailable: boolean;
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}

export function failureReply(rcode: Rcode): Reply {
  return { rcode, isAuthoritative: false, isRecursionAvailable: false, answers: [], authorities: [], additionals: [] };
}
