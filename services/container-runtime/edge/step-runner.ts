// The program that carries out steps (core/steps.ts) and becomes the container's or the exec's program. In Perl, because it
// needs plain system calls before an exec, must start in 2 ms, and perl-base is part of every Debian and Ubuntu: neither
// the image nor the host needs mount(8), setpriv(1) or pivot_root(8). It is gone once the program runs.

import { MS } from '../core/steps.ts';

interface CallNumbers {
  readonly mount: number; readonly umount2: number; readonly pivot_root: number; readonly unshare: number; readonly setns: number;
  readonly prctl: number; readonly setsid: number; readonly sethostname: number; readonly setgroups: number;
  readonly setresgid: number; readonly setresuid: number;
}

/** System call numbers. Source: Linux, asm/unistd_64.h and asm-generic/unistd.h. */
const CALLS: Readonly<Record<string, CallNumbers>> = {
  x64: { mount: 165, umount2: 166, pivot_root: 155, unshare: 272, setns: 308, prctl: 157, setsid: 112, sethostname: 170, setgroups: 116, setresgid: 119, setresuid: 117 },
  arm64: { mount: 40, umount2: 39, pivot_root: 41, unshare: 97, setns: 268, prctl: 167, setsid: 157, sethostname: 161, setgroups: 159, setresgid: 149, setresuid: 147 },
};

const NOATIME = 1024;
const LOCKED_FLAGS = [0, NOATIME].flatMap((time) => [0, MS.NOEXEC].flatMap((exec) => [MS.NODEV, MS.NOSUID, MS.NODEV | MS.NOSUID].map((flags) => flags | exec | time)));

/** Exit code of a start that failed. Source: containerd, errorStartExitCode. */
export const START_ERROR_EXIT_CODE = 128;

/** The text of the runner for this machine. Throws for a processor it does not know. */
export function stepRunnerText(architecture: string): string {
  const call = CALLS[architecture];
  if (!call) throw new Error(`containers cannot be started on the processor architecture ${architecture}`);
  return `# Carries out the steps of the file given, NUL-separated: name, number of arguments, arguments. The last one is an exec.
use strict;
my ($file) = @ARGV;
open(my $in, '<:raw', $file) or die "cannot read $file: $!\\n";
my $text = do { local $/; <$in> };
close($in);
my @field = split(/\\0/, $text, -1);
my (@report, @variables);

sub fail {
  my ($what) = @_;
  syswrite($_, "error $what\\n") for @report;
  exit ${START_ERROR_EXIT_CODE};
}
sub must { my ($result, $what) = @_; fail("$what: " . lc("$!")) if $result == -1; }
sub spill {
  my ($path, $content) = @_;
  open(my $out, '>', $path) or return 0;
  my $written = syswrite($out, $content);
  close($out);
  return defined $written;
}
sub mounted {
  my ($source, $target, $type, $flags, $data) = @_;
  my $number = 0 + $flags;
  return 1 if syscall(${call.mount}, "$source", "$target", "$type", $number, "$data") != -1;
  return 0 if !($number & ${MS.REMOUNT}) || $! != 1;
  # What an outer user namespace has locked (nosuid, nodev, noexec, noatime of the machine's own mounts) must be kept.
  for my $locked (${LOCKED_FLAGS.join(', ')}) {
    my $all = $number | $locked;
    return 1 if syscall(${call.mount}, "$source", "$target", "$type", $all, "$data") != -1;
  }
  return 0;
}

my %run = (
  'report' => sub {
    for my $path (@_) { open(my $out, '>', $path) or die "cannot open $path: $!\\n"; push @report, $out; }
    open(my $stat, '<', '/proc/self/stat') or fail('cannot read /proc/self/stat');
    my $line = <$stat>;
    close($stat);
    my ($pid) = $line =~ /^(\\d+)/;
    my @rest = split(/ /, substr($line, rindex($line, ')') + 2));
    syswrite($_, "started $pid $rest[19]\\n") for @report;
  },
  'forget' => sub { unlink($_[0]); },
  'cgroup' => sub { spill("$_[0]/cgroup.procs", "0\\n") or fail("cannot join the cgroup $_[0]: " . lc("$!")); },
  'write' => sub { spill($_[0], $_[1]) or $_[2] or fail("cannot write $_[0]: " . lc("$!")); },
  'join' => sub {
    my @open;
    for my $path (@_) { open(my $namespace, '<', $path) or fail("cannot open the namespace $path: " . lc("$!")); push @open, $namespace; }
    for my $namespace (@open) { must(syscall(${call.setns}, fileno($namespace), 0), 'cannot enter a namespace'); }
  },
  'unshare-mounts' => sub {
    must(syscall(${call.unshare}, 0x00020000), 'cannot make a mount namespace');
    mounted('', '/', '', ${(1 << 19) | 16384}, '') or fail('cannot detach the mounts: ' . lc("$!"));
  },
  'mount' => sub {
    mounted(@_) or $_[5] or fail("error mounting \\"$_[0]\\" to rootfs at \\"$_[1]\\": " . lc("$!"));
  },
  'pivot' => sub {
    my ($here, $new) = ('.', '.');
    chdir($_[0]) or fail("cannot enter the root $_[0]: " . lc("$!"));
    must(syscall(${call.pivot_root}, $new, $here), 'cannot change the root');
    must(syscall(${call.umount2}, $here, 2), 'cannot let go of the old root');
    chdir('/') or fail('cannot enter the root: ' . lc("$!"));
  },
  'session' => sub {
    syscall(${call.setsid});
    ioctl(STDIN, 0x540E, 1) if $_[0];
  },
  'hostname' => sub { my $name = $_[0]; must(syscall(${call.sethostname}, $name, length($name)), 'cannot set the host name'); },
  'directory' => sub { chdir($_[0]) or fail("chdir to cwd (\\"$_[0]\\") set in config.json failed: " . lc("$!")); },
  'user' => sub {
    my ($uid, $gid, $groups, $drop, $locked) = @_;
    for my $capability (split(/ /, $drop)) { my $number = 0 + $capability; syscall(${call.prctl}, 24, $number, 0, 0, 0); }
    if ($groups ne 'keep') {
      my @group = map { 0 + $_ } split(/ /, $groups);
      my $list = pack('L*', @group) . "\\0";
      must(syscall(${call.setgroups}, scalar(@group), $list), 'cannot set the groups');
    }
    my ($u, $g) = (0 + $uid, 0 + $gid);
    chown($u, -1, \\*STDIN) if -t STDIN;
    must(syscall(${call.setresgid}, $g, $g, $g), "cannot become group $gid");
    must(syscall(${call.setresuid}, $u, $u, $u), "cannot become user $uid");
    must(syscall(${call.prctl}, 38, 1, 0, 0, 0), 'cannot set no_new_privs') if $locked;
  },
  'environment' => sub { @variables = @_; },
  'program' => sub {
    %ENV = map { /^([^=]*)=(.*)$/s ? ($1, $2) : () } @variables;
    my $name = $_[0];
    my @candidate = $name =~ m{/} ? ($name) : map { ($_ eq '' ? '.' : $_) . "/$name" } split(/:/, $ENV{PATH} // '');
    my ($found) = grep { -f $_ && -x _ } @candidate;
    if (!defined $found) {
      fail("exec: \\"$name\\": executable file not found in \\$PATH") if $name !~ m{/};
      fail("exec: \\"$name\\": stat $name: no such file or directory") if !-e $name;
      fail("exec: \\"$name\\": " . (-d $name ? 'is a directory' : 'permission denied'));
    }
    umask(022);
    $SIG{$_} = 'DEFAULT' for ('INT', 'QUIT', 'PIPE');
    no warnings;
    exec { $found } @_;
    fail("exec $found: " . lc("$!"));
  },
);

$SIG{PIPE} = sub {};
while (@field > 1) {
  my $step = shift @field;
  my $count = shift @field;
  my @argument = splice(@field, 0, $count);
  $run{$step}->(@argument);
}
fail('the steps end without a program');
`;
}
