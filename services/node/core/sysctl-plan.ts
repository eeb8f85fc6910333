// Which kernel parameters a (re)start of the network leaves behind.
//
// The init script of the `network` service switches IPv4 forwarding off when it stops and then applies the files of
// /etc/sysctl.d line by line. The bridge parameters exist only while br_netfilter is loaded; without it the file fails
// at its first line and forwarding stays off: packets for pods arrive at the host and are dropped.

export interface SysctlPlan {
  readonly writes: readonly { readonly key: string; readonly value: string }[];
  /** Set when a line could not be applied; nothing after it was. In sysctl's words. */
  readonly problem?: string;
}

export function parseSysctlFile(text: string): { key: string; value: string }[] {
  return text.split('\n').map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith(';'))
    .map((line) => {
      const at = line.indexOf('=');
      return { key: line.slice(0, at).trim().replaceAll('/', '.'), value: line.slice(at + 1).trim() };
    });
}

export function planNetworkSysctls(file: string, loadedModules: ReadonlySet<string>): SysctlPlan {
  const writes = [{ key: 'net.ipv4.ip_forward', value: '0' }];
  for (const { key, value } of parseSysctlFile(file)) {
    if (key.startsWith('net.bridge.')) {
      // The parameter itself belongs to a kernel module that our kernel may not have; its presence is what counts.
      if (!loadedModules.has('br_netfilter')) {
        return { writes, problem: `sysctl: cannot stat /proc/sys/${key.replaceAll('.', '/')}: No such file or directory` };
      }
      continue;
    }
    writes.push({ key, value });
  }
  return { writes };
}
