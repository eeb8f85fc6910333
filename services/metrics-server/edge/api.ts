// Answers the requests of metrics.k8s.io/v1beta1 from the store. Source: pkg/api of metrics-server.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '#lib/environment/clock.ts';
import { badRequest, methodNotAllowed, notFound, resourceNotServed, StatusError } from '#lib/machinery/status-error.ts';
import { requestUrl } from '#lib/service/request-url.ts';
import { parseFieldSelector, parseLabelSelector, SelectorError } from '#lib/machinery/selectors.ts';
import type { MetricsStore } from '../core/metrics-store.ts';
import { DISCOVERY, GROUP, listOf, nodeMetrics, podMetrics, tableOf, type Named, type NodeMetrics, type PodMetrics } from '../core/objects.ts';
import { OPENAPI } from '../core/openapi.ts';
import { parseApiPath, pathOf } from '../core/request.ts';

export interface ApiOptions {
  readonly store: MetricsStore;
  readonly clock: Clock;
  readonly nodes: () => readonly Named[];
  readonly pods: () => readonly Named[];
}

/** Answers one request that has been let through. */
export function answerApi(options: ApiOptions, request: IncomingMessage, response: ServerResponse): void {
  const send = (status: number, body: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
  try {
    send(200, documentFor(options, request));
  } catch (error) {
    const told = error instanceof SelectorError ? badRequest(error.message) : error;
    if (!(told instanceof StatusError)) throw error;
    send(told.code, told.status);
  }
}

function documentFor(options: ApiOptions, request: IncomingMessage): unknown {
  const url = requestUrl(request.url);
  const path = pathOf(request.url);
  if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed();
  const document = DISCOVERY[path] ?? OPENAPI[path]?.();
  if (document !== undefined) return document;
  const asked = parseApiPath(path);
  if (!asked) throw resourceNotServed();
  if (url.searchParams.get('watch') === 'true' || url.searchParams.get('watch') === '1') throw methodNotAllowed();

  const { store, clock } = options;
  const all = asked.resource === 'nodes' ? options.nodes() : options.pods();
  const measured = (object: Named): NodeMetrics | PodMetrics | undefined => {
    if (asked.resource === 'nodes') {
      const usage = store.node(object.name);
      return usage && nodeMetrics(object, usage, clock.nowMs());
    }
    const usage = store.pod(`${object.namespace ?? ''}/${object.name}`);
    return usage && podMetrics(object, usage, clock.nowMs());
  };
  const asTable = (request.headers.accept ?? '').includes('as=Table');
  if (asked.verb === 'get') {
    const object = all.find(({ name, namespace = '' }) => name === asked.name && namespace === asked.namespace);
    if (!object) throw notFound({ group: '', plural: asked.resource }, asked.name);
    const metrics = measured(object);
    if (!metrics) throw notFound({ group: GROUP, plural: asked.resource }, asked.resource === 'nodes' ? asked.name : `${asked.namespace}/${asked.name}`);
    return asTable ? tableOf([metrics]) : metrics;
  }
  const labels = parseLabelSelector(url.searchParams.get('labelSelector') ?? '');
  const fields = parseFieldSelector(url.searchParams.get('fieldSelector') ?? '');
  const wanted = all.filter((object) => (asked.namespace === '' || object.namespace === asked.namespace) && labels.matches(object.labels)
    && fields.matches((field) => (field === 'metadata.name' ? object.name : field === 'metadata.namespace' ? object.namespace ?? '' : '')));
  const byName = ({ namespace = '', name }: Named): string => `${namespace}\0${name}`;
  const items = [...wanted].sort((left, right) => (byName(left) < byName(right) ? -1 : 1)).flatMap((object) => measured(object) ?? []);
  return asTable ? tableOf(items) : listOf(asked.resource === 'nodes' ? 'NodeMetricsList' : 'PodMetricsList', items);
}
