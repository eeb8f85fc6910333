// Bundles test files, with what they share in files of their own: a test that starts from its bundle spends half a second of
// processor less than one whose sources go through a loader, module by module.
import { readFileSync, rmSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';

/** Code that looks for files beside itself still finds those beside its source. */
const SOURCE_URLS: Plugin = {
  name: 'source-urls',
  setup(context) {
    context.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      return { loader: 'ts', contents: text.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href)) };
    });
  },
};

/** Resolves with the bundles, in the order of `files`. Node shows their sources in stacks with --enable-source-maps. */
export async function bundleTests(files: readonly string[], { root, folder }: { readonly root: string; readonly folder: string }): Promise<string[]> {
  rmSync(folder, { recursive: true, force: true });
  await build({
    entryPoints: [...files], outbase: root, outdir: folder, outExtension: { '.js': '.mjs' }, chunkNames: 'chunks/[name]-[hash]',
    bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'node20', packages: 'external', plugins: [SOURCE_URLS],
    sourcemap: 'linked', sourcesContent: false, logLevel: 'warning',
  });
  return files.map((file) => join(folder, relative(root, file).replace(/\.ts$/, '.mjs')));
}

export interface Place {
  readonly file: string;
  /** These count from one. */
  readonly line: number;
  readonly column: number;
}

/** Where the source is of what stands in a bundle. */
export function sourceOf({ file, line, column }: Place): Place {
  const map = new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')) as SourceMapPayload);
  const entry = map.findEntry(line - 1, column - 1);
  return 'originalSource' in entry ? { file: join(dirname(file), entry.originalSource), line: entry.originalLine + 1, column: entry.originalColumn + 1 } : { file, line, column };
}
