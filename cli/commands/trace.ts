// kubreak trace KIND/NAME: who did what to an object, where and when.
import { Option, type Command } from 'commander';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { GATEWAY } from '../cluster-layout.ts';
import { UserError } from '../user-error.ts';

interface TraceOptions {
  readonly namespace: string;
  readonly output: 'text' | 'json';
  readonly events?: boolean;
  readonly otlp?: boolean;
}

const DEFAULT_COLUMNS = 100;

export function addTraceCommand(program: Command, accessOf: (command: Command) => Promise<ClusterAccess>): void {
  program.command('trace')
    .description('follow an object: which process on which host did what to it, when, and how long each hop took')
    .argument('<kind/name>', 'pod/NAME, deployment/NAME, replicaset/NAME, ...')
    .option('-n, --namespace <namespace>', 'where it is', 'default')
    .addOption(new Option('-o, --output <form>', 'a timeline, or all of it for programs').choices(['text', 'json']).default('text'))
    .option('--events', 'with the Events that were written about it')
    .option('--otlp', 'send its spans to the collector of OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4318) instead')
    .action(async (argument: string, options: TraceOptions, command: Command) => {
      const [{ allKinds }, { subjectNamed }, { readSpans }, { tellStory }, { waterfall }] = await Promise.all([
        import('#lib/kinds/registry.ts'), import('../trace/kind-names.ts'), import('../trace/read-spans.ts'), import('../trace/story.ts'), import('../trace/waterfall.ts'),
      ]);
      const subject = subjectNamed(argument, options.namespace, allKinds);
      const access = await accessOf(command);
      const { spans, missing } = await readSpans(access);
      for (const { host, reason } of missing) process.stderr.write(`kubreak: the spans of ${host} are missing: ${reason}\n`);
      const addresses = new Map(access.hosts.map(({ name, address }) => [address, name]));
      const hostOf = (address: string): string | undefined => addresses.get(address) ?? (address === GATEWAY || address.startsWith('127.') || address.endsWith('.1') ? 'machine' : undefined);
      const story = tellStory(spans, subject, { withEvents: options.events === true, hostOf });
      if (!story) throw new UserError(`nothing is told of ${argument}${subject.namespace === undefined ? '' : ` in namespace ${subject.namespace}`}: it never was, or too long ago`);
      if (options.otlp === true) {
        const { exportSpans } = await import('../trace/export-spans.ts');
        const traces = new Set(story.steps.map(({ traceId }) => traceId));
        const own = spans.filter(({ traceId }) => traces.has(traceId));
        const url = await exportSpans(own, process.env);
        process.stdout.write(`sent ${own.length} spans of ${traces.size} traces to ${url}\n`);
        return;
      }
      process.stdout.write(options.output === 'json' ? `${JSON.stringify(story, undefined, 2)}\n` : waterfall(story, { columns: process.stdout.columns ?? DEFAULT_COLUMNS, color: process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined }));
    });
}
