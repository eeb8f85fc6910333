// What there is on a host beside its pods: processes, interfaces, rules, mounts, control groups and their limits, files. Looked
// at before and after, to see what a run has left behind. Pods have a survey of their own (survey.ts).

/** One line each: a word that says what it is, and the thing. */
export const INVENTORY_SCRIPT = String.raw`
perl -e '
  my %mine; for (my $pid = $$; $pid;) { $mine{$pid} = 1; open my $s, "<", "/proc/$pid/stat" or last; (<$s> // "") =~ /\) \S (\d+)/ or last; $pid = $1 }
  opendir my $d, "/proc";
  for my $pid (grep { /^\d+$/ && !$mine{$_} } readdir $d) {
    open my $c, "<", "/proc/$pid/cmdline" or next; my $args = join " ", split /\0/, <$c> // ""; close $c;
    open my $g, "<", "/proc/$pid/cgroup" or next; my $group = join "", <$g>; close $g;
    next if $args eq "" || $group =~ m{/kubepods/};
    $args =~ s/\s+/ /g; print "process ", substr($args, 0, 160), "\n";
  }
  open my $g, "<", "/proc/1/cgroup"; my %seen;
  for (<$g>) {
    my ($controllers, $path) = /^\d+:([^:]*):(.*)$/ or next; next if $path eq "/";
    for my $controller (split /,/, $controllers) {
      my $root = "/sys/fs/cgroup/$controller$path"; $root =~ s{/[^/]*$}{} if $root =~ m{/(init|system)$}; next if $seen{$root}++ || !-d $root;
      for my $file ("cpu.cfs_quota_us", "memory.limit_in_bytes", "cpu.max", "memory.max") { open my $f, "<", "$root/$file" or next; print "limit $controller $file ", <$f>; }
      print "group $controller $_\n" for grep { !/kubepods/ } map { substr $_, length $root } grep { -d } glob "$root/*";
    }
  }
'
ip -o link | sed -n 's/^[0-9]*: \([^:@]*\).*/interface \1/p' | grep -v ' cali'
ip rule | sed 's/^/rule /'
nft list tables 2>/dev/null
tc qdisc show 2>/dev/null | grep -v ' dev cali' | sed 's/^qdisc \(\S*\) \S* dev \(\S*\).*/qdisc \1 \2/'
sed -n 's/^\S* \S* \S* \S* \(\S*\) .*/mount \1/p' /proc/self/mountinfo | grep -v -e /run/containerd/ -e /var/lib/kubelet/pods/ -e /run/netns
ls -d /tmp/* /run/* /run/kubreak/* /etc/* /var/lib/kubreak/* 2>/dev/null | grep -vx /run/mount | sed 's/^/file /' # mount(8) makes it, whoever calls it
true`;

/** The part that says something about a network beside the hosts. */
export const NETWORK_SCRIPT = String.raw`
ip -o link | sed -n 's/^[0-9]*: \([^:@]*\).*/interface \1/p'
ip rule | sed 's/^/rule /'
nft list tables 2>/dev/null
tc qdisc show 2>/dev/null | sed 's/^qdisc \(\S*\) \S* dev \(\S*\).*/qdisc \1 \2/'
true`;

export type Inventory = ReadonlyMap<string, ReadonlySet<string>>;

/** Process ids, sandbox ids and the like differ each time, and mean nothing. */
export function parseInventory(text: string): ReadonlySet<string> {
  return new Set(text.split('\n').filter((line) => line !== '').map((line) => line.replaceAll(/\b[0-9a-f]{12,}\b/g, 'ID').replaceAll(/\b\d{2,}\b(?!-k8s)/g, 'N')));
}

/** What is on a place now and was not before. */
export function additions(before: Inventory, after: Inventory): string[] {
  return [...after].flatMap(([place, things]) => [...things].filter((thing) => !before.get(place)?.has(thing)).map((thing) => `${place}: ${thing}`));
}
