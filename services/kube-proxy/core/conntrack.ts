// Tracked UDP flows that lead past their Service. The kernel keeps a flow's translation as long as packets come, so a
// client that asked before a Service had endpoints, or whose endpoint is gone, would never reach a living one.
import type { UdpFrontend } from './service-table.ts';

export interface UdpFlow {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  /** Who the answers come from: the endpoint, or the destination itself when nothing was translated. */
  readonly replySource: string;
}

/** Lines of `conntrack -L -p udp`. */
export function parseUdpFlows(text: string): UdpFlow[] {
  return text.split('\n').flatMap((line) => {
    const match = /\bsrc=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)\b.*?\bsrc=(\S+) dst=/.exec(line);
    if (!match) return [];
    const [, source = '', destination = '', sourcePort, destinationPort, replySource = ''] = match;
    return [{ source, sourcePort: Number(sourcePort), destination, destinationPort: Number(destinationPort), replySource }];
  });
}

export function staleUdpFlows(flows: readonly UdpFlow[], frontends: readonly UdpFrontend[], nodeIps: readonly string[]): UdpFlow[] {
  const byAddress = new Map<string, UdpFrontend>();
  const byNodePort = new Map<number, UdpFrontend>();
  for (const frontend of frontends) {
    for (const address of frontend.addresses) byAddress.set(`${address}:${frontend.port}`, frontend);
    if (frontend.nodePort !== 0) byNodePort.set(frontend.nodePort, frontend);
  }
  return flows.filter(({ destination, destinationPort, replySource }) => {
    const frontend = byAddress.get(`${destination}:${destinationPort}`) ?? (nodeIps.includes(destination) ? byNodePort.get(destinationPort) : undefined);
    return frontend !== undefined && !frontend.endpointIps.has(replySource);
  });
}
