// /configz: the configuration in effect.
import type { IncomingMessage, ServerResponse } from 'node:http';

export function configz(flags: Readonly<Record<string, unknown>>): (request: IncomingMessage, response: ServerResponse) => void {
  const body = JSON.stringify({ 'kubecontrollermanager.config.k8s.io': flags });
  return (_, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(body);
}
