import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { readUserNamespace } from '#lib/service/user-namespace.ts';
import { tarOf, type Member } from '../testing/archives.ts';
import { unpackLayer, type UnpackedLayer } from './unpack.ts';

describe('a layer', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'unpack-test-'));
    mkdirSync(join(folder, 'below/etc'), { recursive: true });
    mkdirSync(join(folder, 'layer'));
    writeFileSync(join(folder, 'below/etc/old'), 'old');
    symlinkSync('/usr/lib', join(folder, 'below/lib'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const unpack = async (...members: Member[]): Promise<UnpackedLayer> => {
    return unpackLayer(Readable.from([await tarOf(...members)]), { folder: join(folder, 'layer'), below: [join(folder, 'below')], isOpaque: () => false, users: readUserNamespace() });
  };
  const at = (path: string): string => join(folder, 'layer', path);

  test('becomes files, folders and links with their modes and times', async () => {
    const { sizeBytes } = await unpack({ name: './a/', type: 'directory', mode: 0o1777 }, { name: 'a/file', text: 'hello', mode: 0o4755 }, { name: 'a/twin', type: 'link', linkname: 'a/file' }, { name: 'a/link', type: 'symlink', linkname: '/etc/passwd' });
    assert.equal(sizeBytes, 5);
    assert.equal(lstatSync(at('a')).mode & 0o7777, 0o1777);
    assert.equal(lstatSync(at('a/file')).mode & 0o7777, 0o4755);
    assert.equal(lstatSync(at('a/file')).mtimeMs, 1_000_000);
    assert.equal(lstatSync(at('a/file')).ino, lstatSync(at('a/twin')).ino);
    assert.equal(readlinkSync(at('a/link')), '/etc/passwd');
  });

  test('does nothing to what takes the place of a folder that it had first', { skip: process.getuid?.() !== 0 && 'needs root' }, async () => {
    const outside = join(folder, 'outside');
    mkdirSync(outside);
    await unpack(
      { name: 'd', type: 'directory' }, { name: 'd/pipe', type: 'fifo' }, { name: 'd/.wh.removed' }, { name: 'd/e', type: 'directory' }, { name: 'd/e/.wh..wh..opq' },
      { name: 'd', type: 'symlink', linkname: outside },
    );
    assert.equal(readlinkSync(at('d')), outside);
    assert.deepEqual(readdirSync(outside), []);
    assert.ok(lstatSync(outside).mtimeMs > 1_000_000);
  });

  test('hides what it removes, and in whole folders', { skip: process.getuid?.() !== 0 && 'needs root' }, async () => {
    const { opaque } = await unpack({ name: 'etc/.wh.old' }, { name: 'var/.wh..wh..opq' }, { name: 'var/new', text: 'x' }, { name: '.wh..wh.plnk', text: '' });
    const whiteout = lstatSync(at('etc/old'));
    assert.ok(whiteout.isCharacterDevice() && whiteout.rdev === 0);
    assert.deepEqual(opaque, ['/var']);
    assert.ok(!existsSync(at('.wh..wh.plnk')));
  });

  test('replaces what it removed itself', async () => {
    await unpack({ name: 'etc/old', text: 'new' }, { name: 'etc/.wh.old' });
    assert.equal(readFileSync(at('etc/old'), 'utf8'), 'new');
  });

  test('follows the links of layers below, inside the image', async () => {
    await unpack({ name: 'lib/x', text: 'x' });
    assert.equal(readFileSync(at('usr/lib/x'), 'utf8'), 'x');
  });

  test('brings up a file of a layer below to link to it', async () => {
    await unpack({ name: 'etc/again', type: 'link', linkname: '/etc/old' });
    assert.equal(readFileSync(at('etc/again'), 'utf8'), 'old');
  });

  test('that leads out of the image is refused', async () => {
    await assert.rejects(unpack({ name: '../escaped', text: 'x' }), /leads out of the image/);
    await assert.rejects(unpack({ name: 'etc/.wh...', text: '' }), /leads out of the image/);
    await assert.rejects(unpack({ name: 'x', type: 'link', linkname: '../../etc/passwd' }), /leads out of the image/);
    assert.ok(!existsSync(join(folder, 'escaped')));
  });

  test('cannot write through a link of its own', async () => {
    await unpack({ name: 'out', type: 'symlink', linkname: '../../..' }, { name: 'out/escaped', text: 'x' }, { name: 'file', type: 'symlink', linkname: join(folder, 'escaped') }, { name: 'file', text: 'y' });
    assert.ok(!existsSync(join(folder, 'escaped')));
    assert.equal(readFileSync(at('escaped'), 'utf8'), 'x');
    assert.equal(readFileSync(at('file'), 'utf8'), 'y');
  });

  test('that is no archive is an error', async () => {
    await assert.rejects(unpackLayer(Readable.from([Buffer.alloc(1024, 7)]), { folder: join(folder, 'layer'), below: [], isOpaque: () => false, users: readUserNamespace() }), /no tar archive/);
  });
});
