import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import type { Ingress, IngressClass, IngressSpec } from '#lib/kinds/types/networking-v1.ts';
import { settingsOf } from './annotations.ts';
import { buildModel, isOfClass, type Model } from './model.ts';
import { nginxConfig } from './nginx-config.ts';

const backend = (name: string, number = 80) => ({ service: { name, port: { number } } });
const ingress = (name: string, spec: IngressSpec, annotations: Record<string, string> = {}, age = '1'): Ingress =>
  ({ metadata: { name, namespace: 'shop', annotations, creationTimestamp: `2026-01-01T00:00:0${age}Z` }, spec });
const rule = (host: string | undefined, path: string, service: string, pathType = 'Prefix') => ({ ...(host === undefined ? {} : { host }), http: { paths: [{ path, pathType, backend: backend(service) }] } });
const services: Record<string, Service> = {
  web: { metadata: { name: 'web' }, spec: { ports: [{ name: 'http', port: 80 }] } },
  api: { metadata: { name: 'api' }, spec: { ports: [{ port: 80 }] } },
  out: { metadata: { name: 'out' }, spec: { type: 'ExternalName', externalName: 'example.org', ports: [{ port: 80 }] } },
};
const slices: Record<string, EndpointSlice[]> = {
  web: [{ metadata: { name: 'web-1' }, addressType: 'IPv4', ports: [{ name: 'http', port: 8080 }, { name: 'admin', port: 9 }], endpoints: [{ addresses: ['172.16.0.3'] }, { addresses: ['172.16.0.2'] }, { addresses: ['172.16.0.9'], conditions: { ready: false } }] }],
};
const model = (...ingresses: Ingress[]): Model => buildModel({
  ingresses, service: (_, name) => services[name], slices: (_, name) => slices[name] ?? [], hasSecret: (_, name) => name === 'known',
});
const config = (...ingresses: Ingress[]): string => nginxConfig(model(...ingresses), {
  httpPort: 80, httpsPort: 443, folder: '/tmp/x', certificateOf: (secret) => `/ssl/${secret?.replace('/', '-') ?? 'default'}.pem`, resolvers: ['10.96.0.10'], user: 'nginx', workers: 2,
});
const block = (text: string, start: string): string => {
  const from = text.indexOf(start);
  assert.ok(from >= 0, `no ${start} in\n${text}`);
  return text.slice(from, text.indexOf('\n  }\n', from));
};

describe('which Ingresses are ours', () => {
  const classes: IngressClass[] = [{ metadata: { name: 'nginx' }, spec: { controller: 'k8s.io/ingress-nginx' } }, { metadata: { name: 'other' }, spec: { controller: 'example.com/other' } }];
  const settings = { controller: 'k8s.io/ingress-nginx', annotation: 'nginx', watchWithoutClass: false };
  const defaultClasses: IngressClass[] = [{ metadata: { name: 'nginx', annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' } }, spec: { controller: 'k8s.io/ingress-nginx' } }];

  test('by the controller of the class that is named, by the old annotation, by default', () => {
    assert.ok(isOfClass(ingress('a', { ingressClassName: 'nginx' }), classes, settings));
    assert.ok(!isOfClass(ingress('a', { ingressClassName: 'other' }), classes, settings));
    assert.ok(!isOfClass(ingress('a', { ingressClassName: 'gone' }), classes, settings));
    assert.ok(isOfClass(ingress('a', {}, { 'kubernetes.io/ingress.class': 'nginx' }), [], settings));
    assert.ok(!isOfClass(ingress('a', {}), classes, settings));
    assert.ok(isOfClass(ingress('a', {}), defaultClasses, settings));
    assert.ok(isOfClass(ingress('a', {}), classes, { ...settings, watchWithoutClass: true }));
  });
});

describe('the model', () => {
  test('endpoints are those of the port by name, ready ones only', () => {
    assert.deepEqual(model(ingress('a', { rules: [rule('a.example', '/', 'web')] })).upstreams, [{ name: 'shop-web-80', servers: ['172.16.0.2:8080', '172.16.0.3:8080'], sticky: false }]);
  });
  test('the older of two Ingresses has the path, and the other is told', () => {
    const { servers, problems } = model(ingress('young', { rules: [rule('a.example', '/', 'api')] }, {}, '2'), ingress('old', { rules: [rule('a.example', '/', 'web')] }));
    assert.equal(servers.find(({ host }) => host === 'a.example')?.locations[0]?.ingress, 'shop/old');
    assert.deepEqual(problems, ['shop/young: host a.example, path / belongs to shop/old']);
  });
  test('a Service or port that is not there is told and left out', () => {
    assert.deepEqual(model(ingress('a', { rules: [rule('a.example', '/', 'gone')] })).problems, ['shop/a: service "shop/gone" does not exist']);
    assert.match(model(ingress('a', { defaultBackend: backend('web', 81) })).problems[0] ?? '', /does not have any active Endpoint for port "81"/);
  });
  test('TLS with a Secret that is there, that is missing, or without', () => {
    const tls = (secretName?: string) => model(ingress('a', { tls: [{ hosts: ['a.example'], ...(secretName === undefined ? {} : { secretName }) }], rules: [rule('a.example', '/', 'web')] }));
    const server = (secretName?: string) => tls(secretName).servers.find(({ host }) => host === 'a.example');
    assert.equal(server('known')?.secret, 'shop/known');
    assert.deepEqual([server('missing')?.secret, server('missing')?.hasTls], [undefined, true]);
    assert.match(tls('missing').problems[0] ?? '', /the default certificate is used/);
    assert.equal(server()?.hasTls, true);
  });
});

describe('the configuration', () => {
  test('Prefix ends at a slash, Exact is one path, / is everything', () => {
    const text = block(config(ingress('a', { rules: [{ host: 'a.example', http: { paths: [
      { path: '/foo', pathType: 'Prefix', backend: backend('web') }, { path: '/bar', pathType: 'Exact', backend: backend('web') },
    ] } }] })), 'server_name a.example;');
    assert.match(text, /location "\/foo\/" \{[\s\S]*location = "\/foo" \{[\s\S]*location = "\/bar" \{[\s\S]*location \/ \{[\s\S]*return 404;/);
    assert.match(text, /proxy_pass http:\/\/shop-web-80;/);
  });
  test('rules without a host and the default backend are the default server\'s; without either it answers 404', () => {
    assert.match(block(config(), 'server_name _;'), /location \/ \{[\s\S]*return 404/);
    assert.match(block(config(ingress('a', { defaultBackend: backend('web') })), 'server_name _;'), /location "\/" \{[\s\S]*proxy_pass http:\/\/shop-web-80/);
  });
  test('a wildcard host stands for one label', () => {
    assert.match(config(ingress('a', { rules: [rule('*.a.example', '/', 'web')] })), /server_name "~\^\(\?<subdomain>\[\\w-\]\+\)\\\.a\\\.example\$";/);
  });
  test('no endpoint is 503', () => {
    assert.match(block(config(ingress('a', { rules: [rule('a.example', '/', 'api')] })), 'server_name a.example;'), /return 503;/);
  });
  test('with TLS HTTP is sent to HTTPS, unless the annotation says no', () => {
    const spec = { tls: [{ hosts: ['a.example'], secretName: 'known' }], rules: [rule('a.example', '/', 'web')] };
    const text = block(config(ingress('a', spec)), 'server_name a.example;');
    assert.match(text, /return 308 https:/);
    assert.match(text, /ssl_certificate \/ssl\/shop-known\.pem;/);
    assert.doesNotMatch(config(ingress('a', spec, { 'nginx.ingress.kubernetes.io/ssl-redirect': 'false' })), /return 308/);
  });
  test('a rewrite makes paths regular expressions, the longest first', () => {
    const text = config(ingress('a', { rules: [{ host: 'a.example', http: { paths: [
      { path: '/a(/|$)(.*)', pathType: 'ImplementationSpecific', backend: backend('web') }, { path: '/a/longer(/|$)(.*)', pathType: 'ImplementationSpecific', backend: backend('web') },
    ] } }] }, { 'nginx.ingress.kubernetes.io/rewrite-target': '/$2' }));
    assert.match(text, /location ~\* "\^\/a\/longer\(\/\|\$\)\(\.\*\)" \{[\s\S]*location ~\* "\^\/a\(\/\|\$\)\(\.\*\)" \{[\s\S]*rewrite "\(\?i\)\/a\(\/\|\$\)\(\.\*\)" "\/\$2" break;/);
  });
  test('a Service by external name is looked up when it is needed', () => {
    assert.match(config(ingress('a', { defaultBackend: backend('out') })), /set \$external_name "example\.org:80";\n {6}proxy_pass http:\/\/\$external_name;/);
  });
});

test('annotations that make no sense, or would break out of their directive, are ignored and told', () => {
  const problems: string[] = [];
  const settings = settingsOf(ingress('a', {}, {
    'nginx.ingress.kubernetes.io/rewrite-target': '/x; } server {', 'nginx.ingress.kubernetes.io/proxy-body-size': '8m', 'nginx.ingress.kubernetes.io/proxy-read-timeout': 'long',
    'nginx.ingress.kubernetes.io/whitelist-source-range': '10.0.0.0/8, 192.168.1.5',
  }), problems);
  assert.equal(settings.rewriteTarget, undefined);
  assert.equal(settings.bodySize, '8m');
  assert.equal(settings.readTimeoutSeconds, 60);
  assert.deepEqual(settings.allowedSources, ['10.0.0.0/8', '192.168.1.5']);
  assert.deepEqual(problems, ['rewrite-target: /x; } server {', 'proxy-read-timeout: long']);
});
