// Fills Secrets of type kubernetes.io/service-account-token, and deletes those whose account is gone.
// Source: pkg/controller/serviceaccount/tokens_controller.go.
import type { ApiClient } from '#lib/api-client/client.ts';
import { TransportError } from '#lib/api-client/client.ts';
import { Informer, keyOf } from '#lib/api-client/informer.ts';
import { runWorkers, WorkQueue } from '#lib/api-client/work-queue.ts';
import { defineLongRunning, type Controller } from '#lib/controller/define-controller.ts';
import { secretKind } from '#lib/kinds/core/secret.ts';
import { serviceAccountKind } from '#lib/kinds/core/service-account.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import type { Secret } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { isNotFound, StatusError } from '#lib/machinery/status-error.ts';
import { secretTokenClaims, type TokenSigner } from './secret-token.ts';

const TYPE = 'kubernetes.io/service-account-token';
const ACCOUNT_NAME = 'kubernetes.io/service-account.name';
const ACCOUNT_UID = 'kubernetes.io/service-account.uid';

export interface TokenControllerOptions {
  /** The process's own client: this controller makes the others' accounts work, and has none itself. */
  readonly api: ApiClient;
  readonly signer: TokenSigner;
  readonly rootCaPem: string;
  readonly workers: number;
}

/** The data and annotations that a token Secret lacks; undefined when it has all. */
export function missingFrom(secret: Readonly<Secret>, account: { readonly namespace: string; readonly name: string; readonly uid: string }, { signer, rootCaPem }: Pick<TokenControllerOptions, 'signer' | 'rootCaPem'>): Pick<Secret, 'data'> & { annotations: Record<string, string> } | undefined {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const data = { ...secret.data };
  if (rootCaPem !== '') data['ca.crt'] = base64(rootCaPem);
  data['namespace'] ||= base64(account.namespace);
  data['token'] ||= base64(signer.sign(secretTokenClaims(account, secret.metadata.name)));
  const annotations = { ...secret.metadata.annotations, [ACCOUNT_NAME]: account.name, [ACCOUNT_UID]: account.uid };
  return semanticEqual(data, secret.data) && semanticEqual(annotations, secret.metadata.annotations) ? undefined : { data, annotations };
}

export const serviceAccountTokenController = (options: TokenControllerOptions): Controller => defineLongRunning({
  name: 'serviceaccount-token-controller',
  reads: [anyKind(serviceAccountKind)],
  async start({ cache, clock, random, log, signal }) {
    const { api, workers } = options;
    const queue = new WorkQueue({ clock });
    const secrets = new Informer({ api, kind: secretKind, fieldSelector: `type=${TYPE}`, clock, random, log });
    const add = (secret: Secret) => queue.add(keyOf(secret));
    secrets.addHandler({ added: add, updated: add });
    const accounts = cache.informer(serviceAccountKind);
    const wakeSecrets = ({ metadata }: { metadata: { namespace?: string | undefined; name: string } }) => {
      for (const secret of secrets.list(metadata.namespace)) if (secret.metadata.annotations?.[ACCOUNT_NAME] === metadata.name) add(secret);
    };
    accounts.addHandler({ added: wakeSecrets, deleted: wakeSecrets });

    const work = async (key: string): Promise<undefined> => {
      const secret = secrets.getByKey(key);
      const name = secret?.metadata.annotations?.[ACCOUNT_NAME] ?? '';
      if (!secret || secret.type !== TYPE || name === '' || secret.metadata.deletionTimestamp !== undefined) return;
      const { namespace = '' } = secret.metadata;
      // A live look: a Secret may be made right after its account, and must not be deleted for being early.
      const account = accounts.get(namespace, name) ?? (await api.get(serviceAccountKind, namespace, name, { signal }).catch((error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      }));
      const wantedUid = secret.metadata.annotations?.[ACCOUNT_UID];
      if (!account || (wantedUid !== undefined && wantedUid !== '' && wantedUid !== account.metadata.uid)) {
        await api.delete(secretKind, namespace, secret.metadata.name, { preconditions: { uid: secret.metadata.uid } }, { signal }).catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        });
        return;
      }
      const missing = missingFrom(secret, { namespace, name, uid: account.metadata.uid ?? '' }, options);
      if (missing) await api.update(secretKind, { ...secret, metadata: { ...secret.metadata, annotations: missing.annotations }, data: missing.data }, { signal });
    };
    await Promise.all([secrets.run(signal), secrets.synced(signal).then(() => runWorkers(queue, workers, work, (key, error) => {
      if (error instanceof StatusError || error instanceof TransportError) log.debug({ secret: key, err: error }, 'cannot fill token secret, trying again');
      else log.error({ secret: key, err: error }, 'cannot fill token secret');
    }, signal), (error: unknown) => {
      if (!signal.aborted) throw error;
    })]);
  },
});
