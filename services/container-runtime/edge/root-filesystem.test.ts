import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { RootFilesystem } from './root-filesystem.ts';

const folder = mkdtempSync(join(tmpdir(), 'root-filesystem-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let root: RootFilesystem;

beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  for (const path of ['base/var', 'base/run', 'base/etc', 'base/usr/local', 'image/etc', 'image/usr/share']) mkdirSync(join(folder, path), { recursive: true });
  symlinkSync('/run', join(folder, 'base/var/run'));
  symlinkSync('usr/bin', join(folder, 'base/bin'));
  symlinkSync('loop', join(folder, 'base/loop'));
  writeFileSync(join(folder, 'base/etc/passwd'), 'base');
  writeFileSync(join(folder, 'image/etc/passwd'), 'image');
  root = RootFilesystem.overHostPrograms({ folder: join(folder, 'fs'), layers: [join(folder, 'image')], base: join(folder, 'base') });
  root.prepare();
});

test('a mount point behind an absolute link is made inside the root, where the link leads', () => {
  assert.equal(root.ensure('/var/run/secrets/token', 'folder'), '/run/secrets/token');
  assert.ok(existsSync(join(folder, 'fs/root/upper/run/secrets/token')));
  assert.ok(!existsSync(join(folder, 'fs/root/upper/var')));
});

test('below /usr the writable layer of /usr is used, and links lead there', () => {
  assert.equal(root.ensure('/bin/tool', 'file'), '/usr/bin/tool');
  assert.ok(existsSync(join(folder, 'fs/usr/upper/bin/tool')));
  assert.equal(root.ensure('/usr/local/made', 'folder'), '/usr/local/made');
  assert.ok(existsSync(join(folder, 'fs/usr-local/upper/made')));
});

test('the topmost layer wins, and what exists is not touched', () => {
  assert.equal(root.read('/etc/passwd'), 'image');
  root.ensure('/etc/passwd', 'file');
  assert.ok(!existsSync(join(folder, 'fs/root/upper/etc')));
  root.write('/etc/passwd', 'own');
  assert.equal(root.read('/etc/passwd'), 'own');
});

test('no path leads out of the root, and a loop of links is an error', () => {
  assert.equal(root.resolve('/../../etc/../../tmp'), '/tmp');
  assert.throws(() => root.resolve('/loop/x'), /too many symbolic links/);
  assert.throws(() => root.ensure('/etc/passwd/below', 'folder'), /not a directory/);
});

test('a link is made once', () => {
  root.link('/var/log/access.log', '/dev/stdout');
  root.link('/var/log/access.log', '/elsewhere');
  const path = join(folder, 'fs/root/upper/var/log/access.log');
  assert.ok(lstatSync(path).isSymbolicLink());
  assert.equal(readlinkSync(path), '/dev/stdout');
});
