// registry.k8s.io/echoserver: answers with what it was asked. The answers are those of its published nginx configuration:
// up to 1.4 in one form, since then in another.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { hostname } from 'node:os';

const BODY_LIMIT_BYTES = 1024 * 1024;
const OLD_FORM = /^1\.[0-4]$/;

export interface EchoOptions {
  readonly version: string;
  readonly port: number;
  /** NODE_NAME, POD_NAME, POD_NAMESPACE, POD_IP where the pod sets them. */
  readonly pod: Readonly<Record<string, string | undefined>>;
}

export interface EchoRequest {
  readonly clientAddress: string;
  readonly method: string;
  readonly path: string;
  readonly httpVersion: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export function echoText({ version, port, pod }: EchoOptions, host: string, { clientAddress, method, path, httpVersion, headers, body }: EchoRequest): string {
  const at = path.indexOf('?');
  const query = at < 0 ? undefined : path.slice(at + 1);
  const name = (headers['host'] ?? host).replace(/:\d+$/, '');
  const uri = `http://${name}:${port}${path}`;
  const sorted = Object.entries(headers).sort(([left], [right]) => (left < right ? -1 : 1));
  if (OLD_FORM.test(version)) {
    return ['CLIENT VALUES:', `client_address=${clientAddress}`, `command=${method}`, `real path=${path}`, `query=${query ?? 'nil'}`, `request_version=${httpVersion}`, `request_uri=${uri}`, '',
      'SERVER VALUES:', 'server_version=nginx: 1.10.0 - lua: 10001', '', 'HEADERS RECEIVED:', ...sorted.map(([key, value]) => `${key}=${value}`), 'BODY:', body === '' ? '-no body in request-' : body].join('\n');
  }
  const about = [['node name', 'NODE_NAME'], ['pod name', 'POD_NAME'], ['pod namespace', 'POD_NAMESPACE'], ['pod IP', 'POD_IP']].flatMap(([label, key = '']) => (pod[key] ? [`\t${label}:\t${pod[key]}`] : []));
  return ['', '', `Hostname: ${host}`, '', 'Pod Information:', ...(about.length > 0 ? about : ['\t-no pod information available-']), '',
    'Server values:', '\tserver_version=nginx: 1.13.3 - lua: 10008', '',
    'Request Information:', `\tclient_address=${clientAddress}`, `\tmethod=${method}`, `\treal path=${path}`, `\tquery=${query ?? ''}`, `\trequest_version=${httpVersion}`, '\trequest_scheme=http', `\trequest_uri=${uri}`, '',
    'Request Headers:', ...sorted.map(([key, value]) => `\t${key}=${value}`), '',
    'Request Body:', body === '' ? '\t-no body in request-' : body, '', ''].join('\n');
}

/** The body as text, cut off at a limit. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) if ((size += chunk.length) <= BODY_LIMIT_BYTES) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

export const plainAddress = (address: string | undefined): string => (address ?? '').replace(/^::ffff:/, '');

export function serveEcho(options: EchoOptions): Server {
  return createServer((request, response) => {
    void readBody(request).then((body) => {
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
      const text = echoText(options, hostname(), {
        clientAddress: plainAddress(request.socket.remoteAddress), method: request.method ?? '', path: request.url ?? '', httpVersion: request.httpVersion, headers, body,
      });
      response.writeHead(200, { 'content-type': 'text/plain', 'server': OLD_FORM.test(options.version) ? 'nginx/1.10.0' : 'echoserver' }).end(text);
    }, () => response.destroy());
  }).listen(options.port, '0.0.0.0');
}
