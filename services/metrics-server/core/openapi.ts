// The OpenAPI documents of metrics.k8s.io/v1beta1, as far as clients read them: schemas, kinds and paths.
import { GROUP, GROUP_VERSION } from './objects.ts';

type Schema = Readonly<Record<string, unknown>>;
const PREFIX = 'io.k8s.metrics.pkg.apis.metrics.v1beta1';
const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';

function schemas(refRoot: string): Record<string, Schema> {
  const ref = (name: string): Schema => ({ $ref: `${refRoot}${name}` });
  const text = (description: string): Schema => ({ type: 'string', description });
  const typeFields = { apiVersion: text('Version of the schema of this object.'), kind: text('Name of the REST resource that this object stands for.') };
  const usage: Schema = { type: 'object', description: 'CPU in cores over the window; memory is the working set.', additionalProperties: { type: 'string' } };
  const kind = (name: string): Schema => ({ 'x-kubernetes-group-version-kind': [{ group: GROUP, version: 'v1beta1', kind: name }] });
  const measured = (name: string, description: string, own: Record<string, Schema>): Schema => ({
    type: 'object', description, required: ['timestamp', 'window', ...Object.keys(own)],
    properties: {
      ...typeFields, metadata: ref(`${META}.ObjectMeta`),
      timestamp: { type: 'string', format: 'date-time', description: 'End of the window in which usage was measured.' }, window: text('Length of that window.'), ...own,
    },
    ...kind(name),
  });
  const list = (name: string): Schema => ({
    type: 'object', description: `A list of ${name}.`, required: ['metadata', 'items'],
    properties: { ...typeFields, metadata: ref(`${META}.ListMeta`), items: { type: 'array', items: ref(`${PREFIX}.${name}`) } },
    ...kind(`${name}List`),
  });
  return {
    [`${PREFIX}.ContainerMetrics`]: { type: 'object', description: 'What one container used.', required: ['name', 'usage'], properties: { name: text('Name of the container in its pod.'), usage } },
    [`${PREFIX}.NodeMetrics`]: measured('NodeMetrics', 'What one node used.', { usage }),
    [`${PREFIX}.NodeMetricsList`]: list('NodeMetrics'),
    [`${PREFIX}.PodMetrics`]: measured('PodMetrics', 'What one pod used, by container.', { containers: { type: 'array', items: ref(`${PREFIX}.ContainerMetrics`) } }),
    [`${PREFIX}.PodMetricsList`]: list('PodMetrics'),
    [`${META}.ObjectMeta`]: { type: 'object', description: 'Metadata that all objects have.' },
    [`${META}.ListMeta`]: { type: 'object', description: 'Metadata of a list.' },
  };
}

function paths(answer: (schema: string) => unknown): Record<string, unknown> {
  const parameter = (name: string): unknown => ({ name, in: 'path', required: true, type: 'string', schema: { type: 'string' } });
  const operation = (action: 'list' | 'get', kind: string, schema: string, parameters: readonly string[]): unknown => ({
    ...(parameters.length === 0 ? {} : { parameters: parameters.map(parameter) }),
    get: {
      'x-kubernetes-action': action, 'x-kubernetes-group-version-kind': { group: GROUP, version: 'v1beta1', kind }, tags: ['metrics_v1beta1'],
      operationId: `${action === 'list' ? 'list' : 'read'}MetricsV1beta1${parameters.includes('namespace') ? 'Namespaced' : ''}${kind}${action === 'list' && kind === 'PodMetrics' && parameters.length === 0 ? 'ForAllNamespaces' : ''}`,
      responses: { 200: answer(schema) },
    },
  });
  const root = `/apis/${GROUP_VERSION}`;
  return {
    [`${root}/nodes`]: operation('list', 'NodeMetrics', 'NodeMetricsList', []),
    [`${root}/nodes/{name}`]: operation('get', 'NodeMetrics', 'NodeMetrics', ['name']),
    [`${root}/pods`]: operation('list', 'PodMetrics', 'PodMetricsList', []),
    [`${root}/namespaces/{namespace}/pods`]: operation('list', 'PodMetrics', 'PodMetricsList', ['namespace']),
    [`${root}/namespaces/{namespace}/pods/{name}`]: operation('get', 'PodMetrics', 'PodMetrics', ['namespace', 'name']),
  };
}

const info = { title: 'Kubernetes metrics-server', version: 'v0.8.0' };
const V3_PATH = `/openapi/v3/apis/${GROUP_VERSION}`;

export const openApiV2 = (): unknown => ({
  swagger: '2.0', info, definitions: schemas('#/definitions/'),
  paths: paths((schema) => ({ description: 'OK', schema: { $ref: `#/definitions/${PREFIX}.${schema}` } })),
});
const openApiV3 = (): unknown => ({
  openapi: '3.0.0', info, components: { schemas: schemas('#/components/schemas/') },
  paths: paths((schema) => ({ description: 'OK', content: { 'application/json': { schema: { $ref: `#/components/schemas/${PREFIX}.${schema}` } } } })),
});

/** Path to a function that makes the document: they are seldom asked for. */
export const OPENAPI: Readonly<Record<string, () => unknown>> = {
  '/openapi/v2': openApiV2,
  '/openapi/v3': () => ({ paths: { [`apis/${GROUP_VERSION}`]: { serverRelativeURL: V3_PATH } } }),
  [V3_PATH]: openApiV3,
};
