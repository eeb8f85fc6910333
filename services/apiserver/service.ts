// kube-apiserver: storage and watch cache, then access, admission and the HTTP app; last the hooks that run once it serves.
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { steadyClock } from '#lib/environment/clock.ts';
import { parse as parseYaml } from 'yaml';
import type { Environment } from '#lib/environment/environment.ts';
import { allKinds } from '#lib/kinds/registry.ts';
import { aborted } from '#lib/service/abort.ts';
import type { HealthCheck } from '#lib/service/health-server.ts';
import { newMetrics } from '#lib/service/health-server.ts';
import { exportSpans } from '#lib/tracing/start-tracing.ts';
import { tracingConfiguration } from '#lib/tracing/tracing-configuration.ts';
import { createAccess } from './access/access.ts';
import { parseCertificates } from './access/certificate-authentication.ts';
import { Aggregator } from './aggregation/aggregator.ts';
import { remoteOpenApi } from './aggregation/remote-openapi.ts';
import { parsePolicy } from './core/audit/policy.ts';
import { chainAdmission } from './core/admission/admission.ts';
import { admissionPlugins } from './core/admission/default-plugins.ts';
import { serviceReservations } from './core/services/reservations.ts';
import { parsePortRange, ServiceNetworking } from './core/services/service-networking.ts';
import { ApiFaults } from './core/faults/api-faults.ts';
import { sharedCheck } from './core/shared-check.ts';
import { EVENT_WINDOW, WatchCache } from './core/watch-cache.ts';
import { buildApiserverApp } from './edge/app.ts';
import { AuditLog } from './edge/audit/audit-log.ts';
import { Auditor } from './edge/audit/auditor.ts';
import { ApiFaultControl } from './edge/faults/control.ts';
import { chargeQuotaWith } from './edge/charge-quota.ts';
import { cachedObjects } from './edge/cached-objects.ts';
import { componentStatusExtension } from './edge/component-status.ts';
import { feedCache, waitUntilFresh } from './edge/cache-feed.ts';
import { openEtcdStorage } from './edge/etcd-storage.ts';
import { bootstrapHooks, createFreshCluster, runBootstrap, type Hook } from './edge/hooks/bootstrap.ts';
import { runCompaction } from './edge/hooks/compaction.ts';
import { runIdentityLease } from './edge/hooks/identity-lease.ts';
import { runKubernetesService } from './edge/hooks/kubernetes-service.ts';
import { apiserverMetrics } from './edge/metrics.ts';
import { ObjectStore } from './edge/object-store.ts';
import { servedKinds } from './edge/served-kinds.ts';
import { VERSION } from './edge/version.ts';
import type { ApiserverFlags } from './flags.ts';
import { NO_DESCRIPTIONS } from './openapi/descriptions.ts';
import { registerCustomGroups } from './extensions/custom-groups.ts';
import { CustomResources } from './extensions/custom-resources.ts';
import { definitionChecks } from './extensions/definition-checks.ts';
import { openApiExtension } from './openapi/routes.ts';
import { protobufBodyDecoder } from './protobuf/body-decoder.ts';

/** With several masters every host asks every API server each second. Short, as whoever balances them has to hear of a failure soon. */
const ETCD_HEALTH_FRESH_MS = 500;

/** Empty for a flag that was not given; throws when the file cannot be read. */
async function pem(path: string, flag: string): Promise<string> {
  if (path === '') return '';
  return readFile(path, 'utf8').catch((error: unknown) => {
    throw new Error(`cannot read --${flag}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  });
}

/** The build puts them beside the program. */
const DESCRIPTIONS = fileURLToPath(new URL('openapi-descriptions.json', import.meta.url));
const readDescriptions = (): string => (existsSync(DESCRIPTIONS) ? readFileSync(DESCRIPTIONS, 'utf8') : JSON.stringify(NO_DESCRIPTIONS));

export async function startApiserver(flags: ApiserverFlags, environment: Environment, signal: AbortSignal): Promise<void> {
  const { clock, random, log } = environment;
  if (flags.v >= 4) log.level = 'debug';
  if (flags.etcdServers.length === 0) throw new Error('--etcd-servers must be specified');
  if (flags.tracingConfigFile !== '') {
    const configuration = await readFile(flags.tracingConfigFile, 'utf8').then((text) => tracingConfiguration(parseYaml(text))).catch((error: unknown) => {
      throw new Error(`failed to read tracing configuration from ${JSON.stringify(flags.tracingConfigFile)}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    });
    await exportSpans(configuration, 'apiserver', log);
  }
  const kinds = servedKinds(allKinds);
  const registry = newMetrics();
  const cache = new WatchCache(kinds, (key, error) => log.error({ key, err: error }, 'stored object cannot be read'));
  const metrics = apiserverMetrics(registry, () => [...cache.resources].map(({ kind, size }) => ({ resource: kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`, count: size })));
  const storage = openEtcdStorage({
    endpoints: flags.etcdServers, caFile: flags.etcdCafile, certFile: flags.etcdCertfile, keyFile: flags.etcdKeyfile, leaseReuseSeconds: flags.leaseReuseDurationSeconds, clock,
    onCall: (operation, resource, durationMs, failed) => {
      const labels = { operation, group: '', resource };
      metrics.etcdTotal.inc(labels);
      metrics.etcdDuration.observe(labels, durationMs / 1000);
      if (failed) metrics.etcdErrors.inc(labels);
    },
  });
  const objects = cachedObjects(cache, storage);
  const [clientCaPem, requestHeaderCaPem, signingKeyPem, cert, key, kubeletClientCertPem, kubeletClientKeyPem, kubeletCaPem, proxyCertPem, proxyKeyPem, apiFaultCaPem, ...keyPems] = await Promise.all([
    pem(flags.clientCaFile, 'client-ca-file'), pem(flags.requestheaderClientCaFile, 'requestheader-client-ca-file'),
    pem(flags.serviceAccountSigningKeyFile, 'service-account-signing-key-file'), pem(flags.tlsCertFile, 'tls-cert-file'), pem(flags.tlsPrivateKeyFile, 'tls-private-key-file'),
    pem(flags.kubeletClientCertificate, 'kubelet-client-certificate'), pem(flags.kubeletClientKey, 'kubelet-client-key'), pem(flags.kubeletCertificateAuthority, 'kubelet-certificate-authority'),
    pem(flags.proxyClientCertFile, 'proxy-client-cert-file'), pem(flags.proxyClientKeyFile, 'proxy-client-key-file'),
    pem(flags.emulatorApiFaultClientCaFile, 'emulator-api-fault-client-ca-file'),
    ...flags.serviceAccountKeyFile.map((path) => pem(path, 'service-account-key-file')),
  ]);
  const orDefault = <K extends string>(name: K, values: readonly string[]) => (values.length === 0 ? {} : { [name]: values }) as { [key in K]?: readonly string[] };
  const access = createAccess({
    objects, nowMs: () => clock.nowMs(), clientCaPem, requestHeaderCaPem, requestHeaderAllowedNames: flags.requestheaderAllowedNames,
    ...orDefault('requestHeaderUsernameHeaders', flags.requestheaderUsernameHeaders), ...orDefault('requestHeaderGroupHeaders', flags.requestheaderGroupHeaders),
    ...orDefault('requestHeaderUidHeaders', flags.requestheaderUidHeaders), ...orDefault('requestHeaderExtraHeadersPrefix', flags.requestheaderExtraHeadersPrefix),
    serviceAccountKeyPems: keyPems, serviceAccountSigningKeyPem: signingKeyPem, serviceAccountIssuers: flags.serviceAccountIssuer,
    serviceAccountExtendTokenExpiration: flags.serviceAccountExtendTokenExpiration, serviceAccountMaxTokenExpirationMs: flags.serviceAccountMaxTokenExpirationMs,
    serviceAccountJwksUri: flags.serviceAccountJwksUri, apiAudiences: flags.apiAudiences, authorizationModes: flags.authorizationMode, anonymousAuth: flags.anonymousAuth,
    enableBootstrapTokenAuth: flags.enableBootstrapTokenAuth,
    kubeletClientCertPem, kubeletClientKeyPem, kubeletCaPem, kubeletPreferredAddressTypes: flags.kubeletPreferredAddressTypes, fraction: () => random.fraction(),
  });
  const networking = new ServiceNetworking({ cidr: flags.serviceClusterIpRange.split(',')[0] ?? '', nodePorts: parsePortRange(flags.serviceNodePortRange), random });
  const plugins = admissionPlugins({ objects, authorizer: access.authorizer, chargeQuota: chargeQuotaWith(() => store), clock, random,
    tolerations: { notReadySeconds: flags.defaultNotReadyTolerationSeconds, unreachableSeconds: flags.defaultUnreachableTolerationSeconds }, enabled: flags.enableAdmissionPlugins, disabled: flags.disableAdmissionPlugins });
  const store: ObjectStore = new ObjectStore({
    storage, cache, kinds, admission: chainAdmission([...plugins, access.escalationPlugin, definitionChecks]), reservations: [serviceReservations(networking, objects)],
    clock, random, eventTtlSeconds: Math.ceil(flags.eventTtlMs / 1000),
  });
  const hooks = { ...bootstrapHooks(), kubernetesService: { name: 'bootstrap-controller', isDone: false } };
  const askEtcd = (timeoutMs: number) => sharedCheck(() => storage.checkHealth(timeoutMs), ETCD_HEALTH_FRESH_MS, () => clock.nowMs());
  const askHealth = askEtcd(flags.etcdHealthcheckTimeoutMs);
  const askReadiness = flags.etcdReadycheckTimeoutMs === flags.etcdHealthcheckTimeoutMs ? askHealth : askEtcd(flags.etcdReadycheckTimeoutMs);
  const etcdCheck = (name: string, ask: () => Promise<void>): HealthCheck => ({
    name,
    check: () => ask().then(() => undefined, (error: unknown) => `error getting data from etcd: ${error instanceof Error ? error.message : String(error)}`),
  });
  const ping: HealthCheck = { name: 'ping', check: () => undefined };
  const logging: HealthCheck = { name: 'log', check: () => undefined };
  const informers: HealthCheck = { name: 'informer-sync', check: () => (cache.isSynced ? undefined : 'informers have not synced yet') };
  const shutdown: HealthCheck = { name: 'shutdown', check: () => (signal.aborted ? 'process is shutting down' : undefined) };
  const hookChecks = [informersStarted(cache), ...Object.values(hooks).map(hookCheck)];
  const apiFaults = apiFaultCaPem === '' ? undefined : new ApiFaults({ nowMs: () => steadyClock.nowMs(), revision: () => cache.revision });
  if (apiFaults) cache.onProgress((revision) => apiFaults.noteRevision(revision));
  const auditor = await auditorOf(flags, environment);
  const advertiseAddress = flags.advertiseAddress || flags.bindAddress;
  const customResources = new CustomResources({ objects, cache, storage, clock, log });
  const aggregator = new Aggregator({
    objects, clock, log, client: { certPem: proxyCertPem, keyPem: proxyKeyPem }, routesToEndpoints: flags.enableAggregatorRouting, fraction: () => random.fraction(),
  });
  const app = buildApiserverApp({
    aggregator, customResources, kinds, store, cache, storage, objects, clock, random, log, metrics, metricsRegistry: registry,
    extensions: [access.extension, openApiExtension({
      kinds, version: VERSION.gitVersion, descriptions: readDescriptions, customTypes: () => customResources.types(), remote: remoteOpenApi(() => aggregator.openApiSources(), { clock, log }),
    }), { bodyDecoders: [protobufBodyDecoder()] },
      componentStatusExtension(() => storage.checkHealth(flags.etcdHealthcheckTimeoutMs))],
    waitUntilFresh: (waiting) => waitUntilFresh({ storage, cache, clock }, waiting),
    authenticator: access.authenticator, authorizer: access.authorizer, impersonator: access.impersonator,
    health: {
      healthz: [ping, logging, etcdCheck('etcd', askHealth), ...hookChecks], livez: [ping, logging, etcdCheck('etcd', askHealth), ...hookChecks],
      readyz: [ping, logging, etcdCheck('etcd', askHealth), etcdCheck('etcd-readiness', askReadiness), informers, ...hookChecks, shutdown],
    },
    serverAddress: `${advertiseAddress}:${flags.securePort}`, minRequestTimeoutMs: flags.minRequestTimeout * 1000,
    maxRequestsInflight: flags.maxRequestsInflight, maxMutatingRequestsInflight: flags.maxMutatingRequestsInflight, requestTimeoutMs: flags.requestTimeoutMs,
    onWatch: (kind, difference) => metrics.registeredWatchers.inc({ group: kind.group, version: kind.version, kind: kind.kind }, difference),
    ...(auditor ? { auditor } : {}),
    ...(apiFaults ? { apiFaults, apiFaultControl: new ApiFaultControl(apiFaults, parseCertificates(apiFaultCaPem), () => clock.nowMs()) } : {}),
    onWatchCut: (kind) => metrics.terminatedWatchers.inc({ resource: kind.plural }),
    tls: { cert, key, requestCert: true, rejectUnauthorized: false, ...(clientCaPem === '' ? {} : { ca: [clientCaPem, requestHeaderCaPem, apiFaultCaPem].filter((one) => one !== '') }) },
  });
  const feeding = feedCache({ storage, cache, clock, log, signal });
  await cache.waitFor(1, signal);
  for (const resource of cache.resources) metrics.watchCacheCapacity.set({ resource: resource.kind.plural }, EVENT_WINDOW);
  const trust = {
    clientCaPem, requestHeaderCaPem, allowedNames: flags.requestheaderAllowedNames, usernameHeaders: flags.requestheaderUsernameHeaders,
    uidHeaders: flags.requestheaderUidHeaders, groupHeaders: flags.requestheaderGroupHeaders, extraHeaderPrefixes: flags.requestheaderExtraHeadersPrefix,
  };
  await createFreshCluster({ store, objects, trust, log, apiServices: aggregator.localOnes(kinds) });
  await app.listen({ host: flags.bindAddress, port: flags.securePort });
  const port = (app.server.address() as AddressInfo).port;
  log.info({ host: hostname(), port }, 'serving securely');
  aggregator.start(store, signal);
  customResources.start(store, signal);
  registerCustomGroups({ store, objects, served: kinds, clock, log, signal });
  const services = { store, objects, clock, log, signal };
  await Promise.all([
    feeding,
    runBootstrap({ ...services, trust, registerLocalApiServices: () => aggregator.registerLocal(store, kinds) }, hooks),
    runKubernetesService({ ...services, storage, advertiseAddress, port, clusterIP: networking.firstAddress }, hooks.kubernetesService),
    runIdentityLease({ ...services, host: hostname(), uid: randomUUID() }),
    runCompaction({ client: storage.client, periodMs: flags.etcdCompactionIntervalMs, clock, log, signal }),
    aborted(signal).then(() => app.close()),
  ]);
  storage.close();
}

/** Both a policy and a path are needed. Throws when the one cannot be read or the other not written. */
async function auditorOf(flags: ApiserverFlags, { clock, log }: Environment): Promise<Auditor | undefined> {
  const { auditPolicyFile, auditLogPath: path, auditLogMaxsize: maxSizeMegabytes, auditLogMaxbackup: maxBackups, auditLogMaxage: maxAgeDays } = flags;
  if (auditPolicyFile === '') {
    if (path !== '') log.info('No audit policy file provided, no events will be recorded for log backend');
    return undefined;
  }
  const policy = await readFile(auditPolicyFile, 'utf8').then((text) => parsePolicy(parseYaml(text))).catch((error: unknown) => {
    throw new Error(`loading audit policy file: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  });
  return path === '' ? undefined : new Auditor(policy, new AuditLog({ path, maxSizeMegabytes, maxBackups, maxAgeDays }, clock, log), clock);
}

const informersStarted = (cache: WatchCache): HealthCheck =>
  ({ name: 'poststarthook/generic-apiserver-start-informers', check: () => (cache.isSynced ? undefined : 'not finished') });

const hookCheck = (hook: Hook): HealthCheck => ({ name: `poststarthook/${hook.name}`, check: () => (hook.isDone ? undefined : 'not finished') });
