// A name server that has but one answer, over UDP and TCP. Source: RFC 1035, 4.1 and 4.2.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import type { DnsLiar } from './spec.ts';

const HEADER_BYTES = 12;
const RCODES = { servfail: 2, nxdomain: 3 } as const;
/** Response, recursion desired (as it was asked), recursion available. */
const [RESPONSE, RECURSION_DESIRED, RECURSION_AVAILABLE] = [0x8000, 0x0100, 0x0080];
const MAX_MESSAGE_BYTES = 65_535;

/** The answer to a query; undefined for what is none. */
export function lieTo(query: Buffer, answer: DnsLiar['answer']): Buffer | undefined {
  if (query.length < HEADER_BYTES || (query.readUInt16BE(2) & RESPONSE) !== 0 || query.readUInt16BE(4) !== 1) return undefined;
  let end = HEADER_BYTES;
  while (end < query.length && query[end] !== 0) end += 1 + (query[end] ?? 0);
  end += 1 + 4; // the root label, type and class
  if (end > query.length) return undefined;
  const reply = Buffer.from(query.subarray(0, end));
  reply.writeUInt16BE(RESPONSE | (query.readUInt16BE(2) & RECURSION_DESIRED) | RECURSION_AVAILABLE | RCODES[answer], 2);
  reply.fill(0, 6, HEADER_BYTES); // neither answers, nor authorities, nor additional records
  return reply;
}

/** Resolves with the port that it has for UDP and TCP alike, when it listens. */
export async function serveLies(address: string, answer: DnsLiar['answer']): Promise<{ readonly port: number; close(): void }> {
  const server = createServer((socket) => {
    let received = Buffer.alloc(0);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const length = received.readUInt16BE(0);
        const reply = lieTo(received.subarray(2, 2 + length), answer);
        received = received.subarray(2 + length);
        if (!reply) {
          socket.destroy();
          return;
        }
        const head = Buffer.alloc(2);
        head.writeUInt16BE(reply.length);
        socket.write(Buffer.concat([head, reply]));
      }
      if (received.length > MAX_MESSAGE_BYTES + 2) socket.destroy();
    });
  });
  server.listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const udp = createSocket('udp4', (query, from) => {
    const reply = lieTo(query, answer);
    if (reply) udp.send(reply, from.port, from.address, () => undefined); // who has gone meanwhile is told nothing
  });
  udp.bind(port, address);
  await once(udp, 'listening');
  return {
    port,
    close() {
      server.close();
      udp.close();
    },
  };
}
