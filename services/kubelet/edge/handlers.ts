// Runs what probes and lifecycle hooks consist of: commands, HTTP requests, TCP connects, gRPC health checks.
// Source: pkg/probe.
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { isDeadlineExceeded } from '#lib/cri/client.ts';
import type { Container, ExecAction, GRPCAction, HTTPGetAction, Probe, TCPSocketAction } from '#lib/kinds/types/core-v1.ts';
import { goSeconds } from '../core/back-off.ts';
import { portNumber } from '../core/probe-state.ts';
import { errorText, type Runtime } from './runtime.ts';

/** What is kept of a body or of a command's output; bytes. Source: maxRespBodyLength, maxReadLength. */
const MAX_OUTPUT_BYTES = 10 * 1024;
const MAX_REDIRECTS = 10;
const USER_AGENT = 'kube-probe/1.36';

export interface HandlerResult {
  readonly result: 'success' | 'failure';
  readonly output: string;
  /** Succeeded, but something is worth an event. */
  readonly isWarning?: boolean;
  /** Failed because nobody listens at the port. */
  readonly isRefused?: boolean;
}

export interface HandlerTarget {
  readonly runtime: Runtime;
  readonly container: Container;
  readonly containerId: string;
  readonly host: string;
}

/** Throws when the probe itself could not be carried out, which says nothing about the container. */
export async function runProbe(probe: Probe, target: HandlerTarget): Promise<HandlerResult> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  if (probe.exec) return runCommand(probe.exec, target, timeoutMs);
  if (probe.httpGet) return httpGet(probe.httpGet, target, timeoutMs, USER_AGENT);
  if (probe.tcpSocket) return tcpConnect(probe.tcpSocket, target, timeoutMs);
  if (probe.grpc) return grpcCheck(probe.grpc, target, timeoutMs);
  throw new Error(`missing probe handler for ${target.container.name}`);
}

export async function runCommand({ command = [] }: ExecAction, { runtime, containerId }: HandlerTarget, timeoutMs: number): Promise<HandlerResult> {
  const seconds = Math.ceil(timeoutMs / 1000);
  try {
    const { stdout, stderr, exitCode } = await runtime.cri.execSync({ containerId, cmd: command, timeout: seconds }, { timeoutMs: timeoutMs === 0 ? 600_000 : timeoutMs + 10_000 });
    const output = Buffer.concat([stdout, stderr]).subarray(0, MAX_OUTPUT_BYTES).toString('utf8');
    return { result: exitCode === 0 ? 'success' : 'failure', output };
  } catch (error) {
    if (isDeadlineExceeded(error)) return { result: 'failure', output: `command timed out: ${JSON.stringify(command.join(' '))} timed out after ${goSeconds(timeoutMs)}` };
    throw new Error(errorText(error), { cause: error });
  }
}

const hostPort = (host: string, port: number): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

const isRefusal = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';

/** A socket error in Go's words. */
function dialText(error: NodeJS.ErrnoException, host: string, port: number): string {
  const address = hostPort(host, port);
  switch (error.code) {
    case 'ECONNREFUSED': return `dial tcp ${address}: connect: connection refused`;
    case 'EHOSTUNREACH': return `dial tcp ${address}: connect: no route to host`;
    case 'ENETUNREACH': return `dial tcp ${address}: connect: network is unreachable`;
    case 'ECONNRESET': return `read tcp ${address}: read: connection reset by peer`;
    case 'ETIMEDOUT': return `dial tcp ${address}: i/o timeout`;
    default: return `dial tcp ${address}: ${error.message}`;
  }
}

const resolvedPort = (port: number | string, container: Container): number => {
  const number = portNumber(port, container);
  if (number === undefined) throw new Error(`couldn't find port: ${String(port)}`);
  return number;
};

export async function httpGet(action: HTTPGetAction, { container, host: podHost }: HandlerTarget, timeoutMs: number, userAgent: string): Promise<HandlerResult> {
  const port = resolvedPort(action.port, container);
  const host = action.host !== undefined && action.host !== '' ? action.host : podHost;
  const scheme = (action.scheme ?? 'HTTP').toLowerCase();
  const path = action.path ?? '/';
  const headers: Record<string, string | string[]> = {};
  for (const { name, value } of action.httpHeaders ?? []) headers[name] = [...(Array.isArray(headers[name]) ? headers[name] : []), value];
  const lower = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  if (!lower.has('user-agent')) headers['User-Agent'] = userAgent;
  if (!lower.has('accept')) headers['Accept'] = '*/*';
  let url = new URL(`${scheme}://${hostPort(host, port)}${path.startsWith('/') ? '' : '/'}${path}`);
  const signal = AbortSignal.timeout(timeoutMs);
  for (let redirects = 0; ; redirects += 1) {
    let response: { status: number; location: string | undefined; body: string };
    try {
      response = await oneGet(url, headers, signal);
    } catch (error) {
      const text = signal.aborted ? 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)' : dialText(error as NodeJS.ErrnoException, url.hostname.replace(/^\[|\]$/g, ''), Number(url.port) || port);
      return { result: 'failure', output: `Get ${JSON.stringify(url.href)}: ${text}`, isRefused: isRefusal(error) };
    }
    const { status, location, body } = response;
    if (status >= 300 && status < 400 && location !== undefined) {
      const next = new URL(location, url);
      if (next.hostname !== url.hostname) return { result: 'success', output: `Probe terminated redirects, Response body: ${body}`, isWarning: true };
      if (redirects >= MAX_REDIRECTS) return { result: 'failure', output: `Get ${JSON.stringify(next.href)}: stopped after ${MAX_REDIRECTS} redirects` };
      url = next;
      continue;
    }
    if (status >= 200 && status < 400) return { result: 'success', output: body };
    return { result: 'failure', output: `HTTP probe failed with statuscode: ${status}` };
  }
}

function oneGet(url: URL, headers: Record<string, string | string[]>, signal: AbortSignal): Promise<{ status: number; location: string | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const answered = (response: IncomingMessage): void => {
      const chunks: Buffer[] = [];
      let size = 0;
      const done = (): void => resolve({ status: response.statusCode ?? 0, location: response.headers.location, body: Buffer.concat(chunks).subarray(0, MAX_OUTPUT_BYTES).toString('utf8') });
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size < MAX_OUTPUT_BYTES) return;
        done();
        response.destroy();
      });
      response.on('end', done);
      response.on('error', reject);
    };
    // Go's client takes lines that end without a carriage return, too (as CGI programs write them).
    const options = { headers, signal, agent: false as const, insecureHTTPParser: true };
    const request = url.protocol === 'https:' ? httpsRequest(url, { ...options, rejectUnauthorized: false }, answered) : httpRequest(url, options, answered);
    request.on('error', reject);
    request.end();
  });
}

export function tcpConnect(action: TCPSocketAction, { container, host: podHost }: HandlerTarget, timeoutMs: number): Promise<HandlerResult> {
  const port = resolvedPort(action.port, container);
  const host = action.host !== undefined && action.host !== '' ? action.host : podHost;
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const finish = (result: HandlerResult): void => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => finish({ result: 'success', output: '' }));
    socket.once('timeout', () => finish({ result: 'failure', output: `dial tcp ${hostPort(host, port)}: i/o timeout` }));
    socket.once('error', (error) => finish({ result: 'failure', output: dialText(error, host, port), isRefused: isRefusal(error) }));
  });
}

const SERVING = 1;
const HEALTH_STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

async function grpcCheck({ port, service = '' }: GRPCAction, { host }: HandlerTarget, timeoutMs: number): Promise<HandlerResult> {
  const { Client, credentials, status } = await import('@grpc/grpc-js');
  const address = hostPort(host, port);
  const client = new Client(address, credentials.createInsecure(), { 'grpc.primary_user_agent': USER_AGENT });
  const name = Buffer.from(service);
  // HealthCheckRequest: field 1, a string. HealthCheckResponse: field 1, an enum.
  const encoded = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
  try {
    return await new Promise<HandlerResult>((resolve) => {
      client.makeUnaryRequest('/grpc.health.v1.Health/Check', (bytes: Buffer) => bytes, (bytes: Buffer) => (bytes[0] === 0x08 ? bytes[1] ?? 0 : 0), encoded, { deadline: Date.now() + timeoutMs }, (error, value) => {
        if (!error) {
          return resolve(value === SERVING ? { result: 'success', output: 'service healthy' } : { result: 'failure', output: `service unhealthy (responded with ${JSON.stringify(HEALTH_STATUS[value ?? 0] ?? 'UNKNOWN')})` });
        }
        switch (error.code) {
          case status.UNIMPLEMENTED: return resolve({ result: 'failure', output: `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${error.details}` });
          case status.DEADLINE_EXCEEDED: return resolve({ result: 'failure', output: `timeout: health rpc did not complete within ${goSeconds(timeoutMs)}` });
          case status.UNAVAILABLE: return resolve({ result: 'failure', output: `timeout: failed to connect service ${JSON.stringify(address)} within ${goSeconds(timeoutMs)}: context deadline exceeded` });
          default: return resolve({ result: 'failure', output: `error: health rpc failed: ${error.message}` });
        }
      });
    });
  } finally {
    client.close();
  }
}
