// registry.k8s.io/e2e-test-images/agnhost: the commands that manifests and tests use most. Source: its published README.
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { createServer, type ServerResponse } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import { hostname } from 'node:os';
import { requestUrl } from '#lib/service/request-url.ts';
import { plainAddress, readBody } from './echoserver.ts';

type Options = Readonly<Record<string, string>>;

/** `--name=value`, `--name value`, `--flag`; the rest are words. */
export function parseOptions(args: readonly string[], flags: readonly string[] = []): { options: Options; words: string[] } {
  const options: Record<string, string> = {};
  const words: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? '';
    const match = /^--?([a-z][a-z-]*)(?:=(.*))?$/s.exec(arg);
    if (!match) words.push(arg);
    else if (match[2] !== undefined) options[match[1] ?? ''] = match[2];
    else if (flags.includes(match[1] ?? '')) options[match[1] ?? ''] = 'true';
    else options[match[1] ?? ''] = args[(at += 1)] ?? '';
  }
  return { options, words };
}

export function agnhost([command = '', ...args]: readonly string[]): void {
  switch (command) {
    case 'pause': return void setInterval(() => undefined, 2 ** 30);
    case 'netexec': return netexec(parseOptions(args).options);
    case 'serve-hostname': return serveHostname(parseOptions(args, ['tcp', 'udp', 'http', 'close']).options);
    case 'connect': return connectOnce(parseOptions(args, []));
    case '--version': return void process.stdout.write(`agnhost version ${process.env['AGNHOST_VERSION'] ?? ''}\n`);
    default:
      process.stderr.write(`Error: unknown command "${command}" for "app": this stand-in has pause, netexec, serve-hostname and connect\n`);
      process.exit(1);
  }
}

/** Source: agnhost netexec: /, /clientip, /header, /echo, /exit, /healthz, /hostname, /shell; and the same words over UDP. */
function netexec(options: Options): void {
  const httpPort = Number(options['http-port'] ?? 8080);
  const udpPort = Number(options['udp-port'] ?? 8081);
  createServer((request, response) => {
    const url = requestUrl(request.url);
    const answer = (text: string, code = 200): ServerResponse => response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' }).end(text);
    process.stdout.write(`GET ${url.pathname}\n`);
    switch (url.pathname) {
      case '/': return answer(`NOW: ${new Date().toISOString()}`);
      case '/clientip': return answer(`${plainAddress(request.socket.remoteAddress)}:${request.socket.remotePort}`);
      case '/header': return answer(String(request.headers[(url.searchParams.get('key') ?? '').toLowerCase()] ?? ''));
      case '/echo': return answer(url.searchParams.get('msg') ?? '', statusCode(url.searchParams.get('code')));
      case '/healthz': return answer('');
      case '/hostname': case '/hostName': return answer(hostname());
      case '/exit': return response.end(() => setTimeout(() => process.exit(Number(url.searchParams.get('code') ?? 0)), duration(url.searchParams.get('wait'))));
      case '/shell': {
        const run = (text: string): unknown => execFile('/bin/sh', ['-c', text], { timeout: 60_000 }, (error, stdout, stderr) =>
          answer(JSON.stringify(error ? { output: stdout + stderr, error: `exit status ${String(error.code ?? 1)}` } : { output: stdout + stderr })));
        const inQuery = url.searchParams.get('shellCommand') ?? url.searchParams.get('cmd');
        return inQuery !== null ? run(inQuery) : void readBody(request).then((body) => run(new URLSearchParams(body).get('shellCommand') ?? new URLSearchParams(body).get('cmd') ?? ''), () => response.destroy());
      }
      default: return answer('404 page not found\n', 404);
    }
  }).listen(httpPort);
  if (udpPort < 0) return;
  const udp = createSocket('udp4', (message, { address, port }) => {
    const [word = '', ...rest] = message.toString().trim().split(' ');
    const answer = word.toLowerCase() === 'echo' ? rest.join(' ') : word.toLowerCase() === 'hostname' ? hostname() : word.toLowerCase() === 'clientip' ? `${address}:${port}` : '';
    if (answer !== '') udp.send(answer, port, address);
  });
  udp.bind(udpPort);
}

/** 200 for what is no status code. */
const statusCode = (text: string | null): number => (/^[1-9]\d\d$/.test(text ?? '') ? Number(text) : 200);

/** The host name to everybody who connects, by HTTP (the default) or plain. */
function serveHostname(options: Options): void {
  const port = Number(options['port'] ?? 9376);
  if (options['tcp'] === 'true') createTcpServer((socket) => socket.end(`${hostname()}\n`).on('error', () => socket.destroy())).listen(port);
  else if (options['http'] !== 'false') createServer((_, response) => response.writeHead(200, options['close'] === 'true' ? { connection: 'close' } : {}).end(hostname())).listen(port);
  if (options['udp'] !== 'true') return;
  const udp = createSocket('udp4', (_, { address, port: from }) => udp.send(hostname(), from, address));
  udp.bind(port);
}

/** Exit code 1 and one word on why: TIMEOUT, REFUSED, DNS, OTHER. */
function connectOnce({ options, words: [target = ''] }: { readonly options: Options; readonly words: readonly string[] }): void {
  const fail = (word: string): never => {
    process.stderr.write(`${word}\n`);
    process.exit(1);
  };
  const protocol = options['protocol'] ?? 'tcp';
  if (protocol !== 'tcp') return fail(`OTHER: this stand-in connects by tcp, not ${protocol}`);
  const [host = '', port = ''] = target.split(/:(?=\d+$)/);
  const socket = connect({ host: host.replace(/^\[|\]$/g, ''), port: Number(port) }, () => process.exit(0));
  const wait = duration(options['timeout'] ?? null);
  if (wait > 0) setTimeout(() => fail('TIMEOUT'), wait);
  socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code === 'ECONNREFUSED' ? 'REFUSED' : error.code === 'ETIMEDOUT' ? 'TIMEOUT' : error.syscall === 'getaddrinfo' ? 'DNS' : `OTHER: ${error.message}`));
}

/** A duration of Go, such as 1s or 500ms, in milliseconds; 0 when there is none. */
export function duration(text: string | null): number {
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  return [...(text ?? '').matchAll(/([\d.]+)(ms|s|m|h)/g)].reduce((sum, [, amount, unit = '']) => sum + Number(amount) * (units[unit] ?? 0), 0);
}
