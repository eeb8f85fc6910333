import assert from 'node:assert/strict';
import { test } from 'node:test';
import packet from 'dns-packet';
import { failureReply, type DnsRecord, type Reply } from '../core/message.ts';
import { decodeAnswer, decodeRequest, encodeReply, type Request } from './wire.ts';

const query = (name: string, type: string, udpPayloadSize?: number): Buffer => packet.encode({
  type: 'query', id: 77, flags: packet.RECURSION_DESIRED, questions: [{ name, type: type as 'A' }],
  ...(udpPayloadSize === undefined ? {} : { additionals: [{ type: 'OPT', name: '.', udpPayloadSize, flags: 0, options: [] } as never] }),
});
const requestOf = (message: Buffer): Request => {
  const decoded = decodeRequest(message);
  assert.equal(decoded.kind, 'request');
  return (decoded as { request: Request }).request;
};
const addresses = (count: number): DnsRecord[] => Array.from({ length: count }, (_, index) => ({ name: 'db.default.svc.cluster.local', type: 'A', ttl: 30, data: `172.16.1.${index}` }));
const replyOf = (answers: DnsRecord[]): Reply => ({ ...failureReply('NOERROR'), isAuthoritative: true, answers });

test('what is encoded is what dns-packet reads, whatever the type', () => {
  const records: DnsRecord[] = [
    { name: 'a.b', type: 'A', ttl: 5, data: '1.2.3.4' }, { name: 'a.b', type: 'AAAA', ttl: 5, data: '2001:db8::1' }, { name: 'a.b', type: 'CNAME', ttl: 5, data: 'c.b' },
    { name: 'a.b', type: 'SRV', ttl: 5, data: { priority: 0, weight: 100, port: 80, target: 'x.a.b' } }, { name: '4.3.in-addr.arpa', type: 'PTR', ttl: 5, data: 'a.b' },
    { name: 'b', type: 'SOA', ttl: 5, data: { mname: 'ns.dns.b', rname: 'hostmaster.b', serial: 3_000_000_000, refresh: 1, retry: 2, expire: 3, minimum: 4 } },
  ];
  const decoded = packet.decode(encodeReply(requestOf(query('a.b', 'ANY')), replyOf(records), 'tcp'));
  assert.deepEqual((decoded.answers as DnsRecord[]).map(({ name, type, ttl, data }) => ({ name, type, ttl, data })), records);
  assert.equal(decoded.id, 77);
  assert.equal(decoded.questions?.[0]?.name, 'a.b');
  assert.equal(decoded.flag_aa, true);
});

test('repeated names are compressed', () => {
  assert.ok(encodeReply(requestOf(query('db.default.svc.cluster.local', 'A')), replyOf(addresses(20)), 'udp').length < 400);
});

test('an answer too large for UDP is cut and says so; by EDNS or TCP it comes whole', () => {
  const name = 'db.default.svc.cluster.local';
  const cut = packet.decode(encodeReply(requestOf(query(name, 'A')), replyOf(addresses(100)), 'udp'));
  assert.equal(cut.flag_tc, true);
  assert.ok((cut.answers?.length ?? 0) > 20 && (cut.answers?.length ?? 0) < 100);
  const whole = packet.decode(encodeReply(requestOf(query(name, 'A', 4096)), replyOf(addresses(100)), 'udp'));
  assert.deepEqual([whole.flag_tc, whole.answers?.length, whole.additionals?.[0]?.type], [false, 100, 'OPT']);
  assert.equal(packet.decode(encodeReply(requestOf(query(name, 'A')), replyOf(addresses(1000)), 'tcp')).answers?.length, 1000);
  assert.ok(encodeReply(requestOf(query(name, 'A', 65_535)), replyOf(addresses(1000)), 'udp').length <= 4096);
});

test('noise gets no answer, malformed requests an error, and nothing throws', () => {
  assert.equal(decodeRequest(Buffer.from('hello')).kind, 'noise');
  const answer = query('a.b', 'A');
  answer[2] = 0x80;
  assert.equal(decodeRequest(answer).kind, 'noise');
  const pointerLoop = Buffer.concat([query('', 'A').subarray(0, 12), Buffer.from([0xc0, 0x0c, 0, 1, 0, 1])]);
  const refused = decodeRequest(pointerLoop);
  assert.equal(refused.kind === 'refuse' && (refused.answer[3] ?? 0) & 0x0f, 1);
  let state = 12345;
  const byte = (): number => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 24;
  for (let round = 0; round < 20_000; round += 1) {
    const message = round % 2 === 0 ? Buffer.from(Array.from({ length: byte() }, byte)) : query('web.default.svc.cluster.local', 'A', 1232);
    for (let flips = 0; round % 2 === 1 && flips < 3; flips += 1) message[byte() % message.length] = byte();
    const decoded = decodeRequest(message);
    if (decoded.kind === 'request') packet.decode(encodeReply(decoded.request, failureReply('NXDOMAIN'), 'udp'));
  }
});

test('an answer to another question is refused', () => {
  const request = requestOf(query('a.b', 'A'));
  const answer = encodeReply(request, replyOf([{ name: 'a.b', type: 'A', ttl: 1, data: '1.1.1.1' }]), 'udp');
  assert.equal(decodeAnswer(answer, { id: 77, question: { name: 'A.B', type: 'A', class: 'IN' } }).answers.length, 1);
  assert.throws(() => decodeAnswer(answer, { id: 78, question: request.question }));
  assert.throws(() => decodeAnswer(answer, { id: 77, question: { ...request.question, name: 'other.b' } }));
});
