// Wires the controller: informers wake a loop that makes the model, writes certificates and nginx.conf and reloads nginx;
// the leader among several instances writes where the Ingresses are reached into their status.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import type { Writable } from 'node:stream';
import { Gauge } from 'prom-client';
import { connectToApiserver } from '#lib/api-client/client.ts';
import { EventRecorder, referenceTo } from '#lib/api-client/event-recorder.ts';
import { Informer } from '#lib/api-client/informer.ts';
import { runAsLeader } from '#lib/api-client/leader-election.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { secretKind } from '#lib/kinds/core/secret.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { endpointSliceKind } from '#lib/kinds/discovery/endpoint-slice.ts';
import { ingressClassKind } from '#lib/kinds/networking/ingress-class.ts';
import { ingressKind } from '#lib/kinds/networking/ingress.ts';
import type { Secret } from '#lib/kinds/types/core-v1.ts';
import type { Ingress, IngressLoadBalancerIngress } from '#lib/kinds/types/networking-v1.ts';
import { sameContent } from '#lib/machinery/deep-equal.ts';
import { isConflict, isNotFound } from '#lib/machinery/status-error.ts';
import { selfSignedServerCertificate } from '#lib/pki/certificate.ts';
import { loadInClusterConfig, loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { DemandLoop } from '#lib/service/demand-loop.ts';
import type { Flags } from '#lib/service/flags.ts';
import { newMetrics, startHealthServer } from '#lib/service/health-server.ts';
import { buildModel, isOfClass, type Model } from './core/model.ts';
import { nginxConfig } from './core/nginx-config.ts';
import { Nginx } from './edge/nginx.ts';
import type { ingressNginxFlags } from './flags.ts';

const NAME = 'nginx-ingress-controller';
const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
const TLS_TYPE = 'kubernetes.io/tls';
const RETRY_MS = 1_000;
/** Source: internal/ingress/status/status.go, UpdateInterval. Milliseconds. */
const STATUS_PERIOD_MS = 60_000;
/** Source: client-go leaderelection defaults as ingress-nginx sets them. Milliseconds. */
const LEASE = { leaseDurationMs: 30_000, renewDeadlineMs: 15_000, retryPeriodMs: 7_500 };
/** Source: the certificate that ingress-nginx shows where none is known. */
const FAKE_CERTIFICATE = 'Kubernetes Ingress Controller Fake Certificate';
const WORKERS = 2;

export async function startIngressNginx(
  flags: Flags<typeof ingressNginxFlags>, { variables, output }: { readonly variables: Readonly<Record<string, string | undefined>>; /** For the access log. */ readonly output: Writable },
  { clock, random, log }: Environment, signal: AbortSignal,
): Promise<void> {
  const access = flags.kubeconfig === '' ? await loadInClusterConfig(variables) : await loadKubeconfig(flags.kubeconfig);
  const api = connectToApiserver(access, NAME);
  const ingresses = new Informer({ api, kind: ingressKind, clock, random, log });
  const classes = new Informer({ api, kind: ingressClassKind, clock, random, log });
  const services = new Informer({ api, kind: serviceKind, clock, random, log });
  const slices = new Informer({ api, kind: endpointSliceKind, clock, random, log });
  const secrets = new Informer<Secret>({ api, kind: secretKind, fieldSelector: `type=${TLS_TYPE}`, clock, random, log });
  const informers = [ingresses, classes, services, slices, secrets];
  slices.addIndex('service', ({ metadata }) => [`${metadata.namespace ?? ''}/${metadata.labels?.[SERVICE_NAME_LABEL] ?? ''}`]);
  const pod = variables['POD_NAME'] ?? hostname();
  const namespace = variables['POD_NAMESPACE'] ?? 'ingress-nginx';
  const recorder = new EventRecorder({ api, component: NAME, clock, log, signal });
  const metrics = newMetrics();
  const lastReload = new Gauge({ name: 'nginx_ingress_controller_config_last_reload_successful', help: 'Whether the last configuration reload attempt was successful', registers: [metrics] });

  const nginx = new Nginx(flags.emulatorNginx, flags.emulatorFolder);
  await nginx.openAccessLog(output);
  const fake = await selfSignedServerCertificate({ commonName: FAKE_CERTIFICATE, dnsNames: ['ingress.local'], nowMs: clock.nowMs() });
  const defaultCertificate = nginx.writeCertificate('default-fake-certificate', fake.certPem, fake.keyPem);
  /** Secret to its file, and the version that is in it. */
  const certificates = new Map<string, { readonly path: string; readonly version: string }>();
  let applied = '';
  let hasApplied = false;
  let stopped: (reason: Error) => void = () => undefined;
  const nginxEnded = new Promise<never>((_, reject) => {
    stopped = reject;
  });
  nginxEnded.catch(() => undefined);

  const isOurs = (ingress: Ingress): boolean => isOfClass(ingress, classes.list(), { controller: flags.controllerClass, annotation: flags.ingressClass, watchWithoutClass: flags.watchIngressWithoutClass });
  const usableSecret = (id: string): Secret | undefined => {
    const [space = '', name = ''] = id.split('/');
    const secret = secrets.get(space, name);
    return secret?.data?.['tls.crt'] !== undefined && secret.data['tls.key'] !== undefined ? secret : undefined;
  };

  const writeCertificates = (wanted: ReadonlySet<string>): void => {
    for (const id of wanted) {
      const secret = usableSecret(id);
      const version = secret?.metadata.resourceVersion ?? '';
      if (!secret || certificates.get(id)?.version === version) continue;
      const text = (key: string): string => Buffer.from(secret.data?.[key] ?? '', 'base64').toString('utf8');
      certificates.set(id, { path: nginx.writeCertificate(id.replace('/', '-'), text('tls.crt'), text('tls.key')), version });
      applied = ''; // the same configuration, with another content behind it
    }
    for (const id of certificates.keys()) {
      if (wanted.has(id)) continue;
      certificates.delete(id);
      nginx.removeCertificate(id.replace('/', '-'));
    }
  };
  const configOf = (model: Model): string => nginxConfig(model, {
    httpPort: flags.httpPort, httpsPort: flags.httpsPort, folder: flags.emulatorFolder, workers: WORKERS, resolvers: nameServers(), user: workerUser(),
    certificateOf: (secret) => (secret === undefined ? undefined : certificates.get(secret)?.path) ?? (flags.defaultSslCertificate === '' ? undefined : certificates.get(flags.defaultSslCertificate)?.path) ?? defaultCertificate,
  });
  const sync = async (): Promise<void> => {
    if (!informers.every(({ hasSynced }) => hasSynced)) return;
    const ours = ingresses.list().filter(isOurs);
    const model = buildModel({
      ingresses: ours, service: (space, name) => services.get(space, name), slices: (space, name) => slices.byIndex('service', `${space}/${name}`),
      hasSecret: (space, name) => usableSecret(`${space}/${name}`) !== undefined,
    });
    const wanted = new Set(model.servers.flatMap(({ secret }) => secret ?? []));
    if (flags.defaultSslCertificate !== '' && usableSecret(flags.defaultSslCertificate)) wanted.add(flags.defaultSslCertificate);
    writeCertificates(wanted);
    const configuration = configOf(model);
    if (configuration === applied) return;
    try {
      await nginx.apply(configuration, (reason) => stopped(new Error(reason)));
      lastReload.set(1);
    } catch (error) {
      lastReload.set(0);
      throw error;
    }
    applied = configuration;
    hasApplied = true;
    log.info({ ingresses: ours.length, reloads: nginx.reloads }, 'Backend successfully reloaded');
    for (const problem of model.problems) log.warn(problem);
    const self = { apiVersion: 'v1', kind: 'Pod', namespace, name: pod };
    recorder.event(self, 'Normal', 'RELOAD', 'NGINX reload triggered due to a change in configuration');
  };
  const syncLoop = new DemandLoop({
    work: sync, clock, minIntervalMs: flags.syncIntervalMs, retryMs: RETRY_MS,
    onError: (error) => log.error({ err: error }, 'cannot bring nginx up to date'),
  });

  /** Where the Service in front is reached: its load balancer, else its cluster address. */
  const publishedAt = (): IngressLoadBalancerIngress[] => {
    const [space = '', name = ''] = flags.publishService.split('/');
    const service = services.get(space, name);
    if (!service?.spec) return [];
    if (service.spec.type === 'LoadBalancer') return (service.status?.loadBalancer?.ingress ?? []).map(({ ip, hostname: host }) => ({ ...(ip === undefined ? {} : { ip }), ...(host === undefined ? {} : { hostname: host }) }));
    const addresses = service.spec.externalIPs ?? [];
    return (addresses.length > 0 ? addresses : [service.spec.clusterIP ?? '']).filter((ip) => ip !== '' && ip !== 'None').map((ip) => ({ ip }));
  };
  const writeStatus = async (): Promise<void> => {
    if (!informers.every(({ hasSynced }) => hasSynced) || flags.publishService === '') return;
    const where = publishedAt();
    for (const ingress of ingresses.list().filter(isOurs)) {
      const known = (ingress.status?.loadBalancer?.ingress ?? []).map(({ ip, hostname: host }) => ({ ...(ip === undefined ? {} : { ip }), ...(host === undefined ? {} : { hostname: host }) }));
      if (sameContent(known, where)) continue;
      await api.updateStatus(ingressKind, { ...ingress, status: { loadBalancer: where.length > 0 ? { ingress: where } : {} } }, { signal }).catch((error: unknown) => {
        if (!isNotFound(error) && !isConflict(error)) throw error; // the watch brings what it became
      });
    }
  };
  const statusLoop = new DemandLoop({
    work: writeStatus, clock, minIntervalMs: 100, retryMs: RETRY_MS, periodMs: STATUS_PERIOD_MS,
    onError: (error) => log.warn({ err: error }, 'cannot write the status of Ingresses'),
  });

  const request = (): void => {
    syncLoop.request();
    statusLoop.request();
  };
  for (const informer of [classes, services, slices, secrets]) informer.addHandler({ added: request, updated: request, deleted: request });
  // Which Ingresses are ours can be told when the classes are known: those of before are announced together.
  let hasStarted = false;
  const announce = (ingress: Ingress): void => {
    if (hasStarted && isOurs(ingress)) recorder.event(referenceTo(ingress), 'Normal', 'Sync', 'Scheduled for sync');
    request();
  };
  ingresses.addHandler({ added: announce, deleted: request, updated: (next, previous) => {
    if (!sameContent(next.spec, previous.spec) || !sameContent(next.metadata.annotations, previous.metadata.annotations)) announce(next);
    else request();
  } });

  const readiness = (): string | undefined => (hasApplied ? undefined : 'nginx has no configuration yet');
  try {
    await Promise.race([nginxEnded, Promise.all([
      startHealthServer({ host: '0.0.0.0', port: flags.healthzPort, metrics, signal, live: [{ name: 'nginx', check: readiness }], ready: [{ name: 'nginx', check: readiness }] }),
      Promise.all(informers.map((informer) => informer.synced(signal))).then(() => {
        hasStarted = true;
        ingresses.list().forEach(announce);
        request();
      }, () => undefined),
      ...informers.map((informer) => informer.run(signal)),
      syncLoop.run(signal),
      flags.updateStatus ? runAsLeader({ api, namespace, name: flags.electionId, identity: `${pod}_${randomUUID()}`, ...LEASE, clock, random, log, signal }, (leading) => statusLoop.run(leading)) : undefined,
    ])]);
  } finally {
    await nginx.stop();
    await api.close();
  }
}

/** Whom nginx's workers run as when its master is root: the official image's user, or Debian's. */
function workerUser(): string | undefined {
  const users = new Set(readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':')[0]));
  return userInfo().uid === 0 ? ['nginx', 'www-data'].find((name) => users.has(name)) : undefined;
}

function nameServers(): string[] {
  return readFileSync('/etc/resolv.conf', 'utf8').split('\n').flatMap((line) => /^nameserver\s+(\d+(?:\.\d+){3})\s*$/.exec(line)?.[1] ?? []);
}
