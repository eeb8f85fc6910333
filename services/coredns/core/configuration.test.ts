import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationFrom, isInZone } from './configuration.ts';
import { CorefileError } from './corefile.ts';

const KUBEADM = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
`;

test('kubeadm\'s Corefile is understood', () => {
  const { servers, ...rest } = configurationFrom(KUBEADM);
  assert.deepEqual(rest, { health: { address: ':8080', lameduckMs: 5000 }, ready: ':8181', prometheus: ':9153', reloadMs: 30_000 });
  assert.deepEqual(servers, [{
    zones: ['.'], port: 53, logsErrors: true, logsQueries: false, shuffles: true, checksLoop: true,
    kubernetes: { zones: ['cluster.local.', 'in-addr.arpa.', 'ip6.arpa.'], ttlSeconds: 30, pods: 'insecure', fallthrough: ['in-addr.arpa.', 'ip6.arpa.'], endpointPodNames: false },
    cache: { zones: ['.'], successSeconds: 30, denialSeconds: 30, disabledSuccess: ['cluster.local.'], disabledDenial: ['cluster.local.'] },
    forward: [{ from: '.', to: ['/etc/resolv.conf'], except: [], policy: 'random', maxConcurrent: 1000, preferUdp: false, forceTcp: false }],
    rewrite: [], hosts: undefined,
  }]);
});

test('a second block serves another zone; comments, quotes and variables are read', () => {
  const { servers } = configurationFrom('# mine\nconsul.local:5353 { # here\n forward . "{$UPSTREAM}"\n}\n.:53 {\n whoami\n}'.replace('whoami', 'errors'), { variables: { UPSTREAM: '10.1.1.1' } });
  assert.deepEqual(servers.map(({ zones, port, forward }) => [zones, port, forward[0]?.to]), [[['consul.local.'], 5353, ['10.1.1.1']], [['.'], 53, undefined]]);
});

test('what is not understood is refused with its line', () => {
  const refusal = (text: string, pattern: RegExp): void => assert.throws(() => configurationFrom(text), (error) => error instanceof CorefileError && pattern.test(error.message));
  refusal('.:53 {\n errors\n bogus\n}', /Corefile:3 .*Unknown directive 'bogus'/);
  refusal('.:53 {\n errors\n', /Unexpected EOF/);
  refusal('.:53 {\n kubernetes cluster.local {\n  ttl soon\n }\n}', /must be a number/);
  refusal('.:53 {\n forward .\n}', /Wrong argument count/);
  refusal('{\n errors\n}', /needs an address/);
});

test('a name is in a zone when it is the zone or ends in it, label by label', () => {
  assert.equal(isInZone('web.default.svc.cluster.local', 'cluster.local.'), true);
  assert.equal(isInZone('notcluster.local', 'cluster.local.'), false);
  assert.equal(isInZone('anything', '.'), true);
});
