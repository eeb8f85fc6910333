// What the processes of a cluster use, to see whether anything grows from round to round.

/** One line for each Node process: title, PSS in KiB, open files. */
export const FOOTPRINT_SCRIPT = String.raw`perl -e '
  for my $p (glob "/proc/[0-9]*") {
    my $exe = readlink "$p/exe" // next; next unless $exe =~ m{/node$};
    open my $c, "<", "$p/cmdline" or next; my ($title) = split /[\0 ]/, <$c> // ""; close $c;
    open my $m, "<", "$p/smaps_rollup" or next; my ($pss) = join("", <$m>) =~ /^Pss:\s+(\d+)/m or next; close $m;
    my @files = glob "$p/fd/*"; print "$title $pss ", scalar @files, "\n";
  }
'; true`;

/** The largest of each title, the most open files, and all memory. */
export function describeFootprint(texts: readonly string[]): string {
  const largest = new Map<string, { kib: number; files: number }>();
  let total = 0;
  for (const line of texts.flatMap((text) => text.split('\n'))) {
    const [, title, kib, files] = /^(\S+) (\d+) (\d+)$/.exec(line) ?? [];
    if (title === undefined || title === 'node') continue;
    const known = largest.get(title) ?? { kib: 0, files: 0 };
    largest.set(title, { kib: Math.max(known.kib, Number(kib)), files: Math.max(known.files, Number(files)) });
    total += Number(kib);
  }
  const parts = [...largest].sort(([left], [right]) => (left < right ? -1 : 1)).map(([title, { kib, files }]) => `${title} ${Math.round(kib / 1024)}/${files}`);
  return `${Math.round(total / 1024)} MiB; largest of each in MiB/open files: ${parts.join(', ')}`;
}
