// Drills by the command line, as people run them, on one cluster or on several at the same time.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Requirements } from '../../cli/drill/core/drill.ts';
import type { DrillReport } from '../../cli/drill/core/report.ts';
import { KUBREAK, runCommand, type DrivenCluster } from '../e2e/cluster.ts';

/** Of one drill; milliseconds. */
const LONGEST_MS = 30 * 60_000;

export interface ShippedDrill {
  readonly name: string;
  readonly requires?: Requirements;
  readonly scope?: 'namespace' | 'cluster';
}

export async function shippedDrills(): Promise<readonly ShippedDrill[]> {
  const { stdout } = await runCommand(process.execPath, [KUBREAK, 'drill', 'list', '-o', 'json']);
  return (JSON.parse(stdout) as { drills: ShippedDrill[] }).drills;
}

export interface DrillRun {
  readonly report: DrillReport;
  /** The timeline, as it was printed. */
  readonly printed: string;
}

/** `folder`: for its report. */
export async function runDrill(cluster: DrivenCluster, name: string, { folder, isWithoutFault = false }: { readonly folder: string; readonly isWithoutFault?: boolean }): Promise<DrillRun> {
  const { stdout, stderr } = await cluster.kubreak(['drill', 'run', name, '--report-dir', folder, ...(isWithoutFault ? ['--without-fault'] : [])], { timeoutMs: LONGEST_MS });
  const printed = `${stdout}${stderr}`;
  try {
    const { drills: [report] } = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as { drills: DrillReport[] };
    if (report) return { report, printed };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  throw new Error(`kubreak drill run ${name} wrote no report:\n${printed}`);
}

/** Clusters that are lent to one at a time. */
export class ClusterPool {
  readonly #free: DrivenCluster[];
  readonly #waiting: ((cluster: DrivenCluster) => void)[] = [];

  constructor(clusters: readonly DrivenCluster[]) {
    this.#free = [...clusters];
  }

  async with<T>(use: (cluster: DrivenCluster) => Promise<T>): Promise<T> {
    const cluster = this.#free.pop() ?? await new Promise<DrivenCluster>((resolve) => this.#waiting.push(resolve));
    try {
      return await use(cluster);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(cluster);
      else this.#free.push(cluster);
    }
  }
}
