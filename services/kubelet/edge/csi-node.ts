// The node's CSINode, which says what CSI drivers it has: none here. Source: pkg/volume/csi/nodeinfomanager.
import { TransportError, type ApiClient } from '#lib/api-client/client.ts';
import type { Informer } from '#lib/api-client/informer.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { csiNodeKind } from '#lib/kinds/storage/csi-node.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import type { Node } from '#lib/kinds/types/core-v1.ts';
import { ownerReference } from '#lib/machinery/controller-ref.ts';
import { isAlreadyExists, isNotFound, StatusError } from '#lib/machinery/status-error.ts';

/** Nothing waits for it: it stays out of the way of a node that is just starting. Also the wait between tries. Milliseconds. */
const DELAY_MS = 5_000;

export interface CsiNodeOptions extends Environment {
  readonly api: ApiClient;
  readonly nodes: Informer<Node>;
  readonly signal: AbortSignal;
}

/** Creates it whenever the node is new. The garbage collector deletes it with its node. */
export function keepCsiNode({ api, nodes, clock, log, signal }: CsiNodeOptions): void {
  const keep = async ({ metadata: { name, uid } }: Node): Promise<void> => {
    for (;;) {
      await clock.sleep(DELAY_MS, signal).catch(() => undefined);
      const node = nodes.get(undefined, name);
      if (signal.aborted || node?.metadata.uid !== uid || !node) return;
      try {
        return await ensureCsiNode(api, node, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
        log.debug({ err: error }, 'cannot create the CSINode yet');
      }
    }
  };
  nodes.addHandler({ added: (node) => void keep(node) });
}

async function ensureCsiNode(api: ApiClient, node: Node, signal: AbortSignal): Promise<void> {
  const { name } = node.metadata;
  try {
    await api.get(csiNodeKind, undefined, name, { signal });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await api.create(csiNodeKind, { metadata: { name, ownerReferences: [ownerReference(node, nodeKind)] }, spec: { drivers: [] } }, { signal }).catch((failure: unknown) => {
      if (!isAlreadyExists(failure)) throw failure;
    });
  }
}
