import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CniError, errorText, parseCall, resultText, versionText } from './cni-call.ts';

const variables = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'abc', CNI_NETNS: '/run/netns/x', CNI_IFNAME: 'eth0', CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web' };
const config = JSON.stringify({ cniVersion: '0.3.1', name: 'net', type: 'calico', ipam: { type: 'calico-ipam', blocks: ['172.16.1.0/26'] } });
const refused = (changes: Record<string, string>, input = config): CniError => {
  try {
    parseCall({ ...variables, ...changes }, input);
  } catch (error) {
    assert.ok(error instanceof CniError);
    return error;
  }
  assert.fail('accepted');
};

test('a call tells what is to be done, for which pod, in which network', () => {
  const call = parseCall(variables, config);
  assert.equal(call.command, 'ADD');
  assert.equal(call.args['K8S_POD_NAME'], 'web');
  assert.deepEqual(call.config.ipam?.blocks, ['172.16.1.0/26']);
});

test('ports are understood in any spelling', () => {
  const read = (mapping: object) => parseCall(variables, JSON.stringify({ cniVersion: '1.0.0', name: 'net', runtimeConfig: { portMappings: [mapping] } })).config.runtimeConfig?.portMappings;
  const expected = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: '' }];
  assert.deepEqual(read({ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }), expected);
  assert.deepEqual(read({ hostPort: 8080, containerPort: 80, protocol: 'tcp' }), expected);
});

test('what is missing or malformed is refused with the code of the specification', () => {
  assert.equal(refused({ CNI_NETNS: '' }).message, 'required env variables [CNI_NETNS] missing');
  assert.equal(refused({ CNI_COMMAND: 'PLEASE' }).code, 4);
  assert.equal(refused({ CNI_CONTAINERID: '../../etc' }).code, 4);
  assert.equal(refused({ CNI_IFNAME: 'a/b' }).code, 4);
  assert.equal(refused({}, 'not json').code, 6);
  assert.equal(refused({}, '{"cniVersion": "2.0.0", "name": "net"}').code, 1);
  assert.equal(refused({}, '{"cniVersion": "1.0.0", "name": "../net"}').code, 7);
});

test('DEL needs no namespace: it may have gone', () => assert.equal(parseCall({ ...variables, CNI_COMMAND: 'DEL', CNI_NETNS: '' }, config).netns, ''));

test('VERSION needs nothing at all', () => {
  assert.equal(parseCall({ CNI_COMMAND: 'VERSION' }, '').command, 'VERSION');
  assert.deepEqual(JSON.parse(versionText()), { cniVersion: '1.0.0', supportedVersions: ['0.3.0', '0.3.1', '0.4.0', '1.0.0'] });
});

test('a result says for each address which version of IP it is, until 1.0.0', () => {
  const result = { ips: [{ address: '172.16.1.2/32', interface: 0 }] };
  assert.deepEqual(JSON.parse(resultText(result, '0.3.1')), { cniVersion: '0.3.1', ips: [{ version: '4', address: '172.16.1.2/32', interface: 0 }] });
  assert.deepEqual(JSON.parse(resultText(result, '1.0.0')), { cniVersion: '1.0.0', ips: [{ address: '172.16.1.2/32', interface: 0 }] });
});

test('an error that is not of the specification has a code of its own', () => assert.deepEqual(JSON.parse(errorText(new Error('no'), '1.0.0')), { cniVersion: '1.0.0', code: 999, msg: 'no' }));
