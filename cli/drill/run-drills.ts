// Several drills on one cluster: printed as they go, ended by Ctrl-C, reported in files.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClusterAccess } from '../access/cluster-access.ts';
import type { Drill } from './core/drill.ts';
import { inSeconds } from './core/durations.ts';
import { junitText } from './core/junit.ts';
import { pageOf } from './core/page.ts';
import type { DrillReport } from './core/report.ts';
import { lineOf, type Entry } from './core/timeline.ts';
import { runDrill } from './run-drill.ts';

export interface RunDrillsOptions {
  readonly isWithoutFault: boolean;
  readonly isParallel: boolean;
  readonly isQuiet: boolean;
  readonly reportFolder?: string;
  readonly print: (line: string) => void;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Drills that run at the same time. */
const MAX_PARALLEL = 4;

export async function runDrills(drills: readonly Drill[], cluster: ClusterAccess, options: RunDrillsOptions): Promise<DrillReport[]> {
  const stopping = new AbortController();
  const onSignal = (): void => {
    if (stopping.signal.aborted) return; // mending is not to be interrupted; kill -9 is there for those who insist
    options.print('ended: mending what is broken, deleting what was made ...');
    stopping.abort(new DOMException('the drill was ended', 'AbortError'));
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  try {
    return await new Runs(drills, cluster, options, stopping.signal).all();
  } finally {
    for (const name of SIGNALS) process.off(name, onSignal);
  }
}

class Runs {
  readonly #drills: readonly Drill[];
  readonly #cluster: ClusterAccess;
  readonly #options: RunDrillsOptions;
  readonly #signal: AbortSignal;
  readonly #reports = new Map<Drill, DrillReport>();

  constructor(drills: readonly Drill[], cluster: ClusterAccess, options: RunDrillsOptions, signal: AbortSignal) {
    this.#drills = drills;
    this.#cluster = cluster;
    this.#options = options;
    this.#signal = signal;
  }

  async all(): Promise<DrillReport[]> {
    const beside = this.#options.isParallel ? this.#drills.filter(({ scope }) => scope === 'namespace') : [];
    const waiting = [...beside];
    await Promise.all(Array.from({ length: Math.min(MAX_PARALLEL, beside.length) }, async () => {
      for (let drill = waiting.shift(); drill && !this.#signal.aborted; drill = waiting.shift()) await this.#one(drill, true);
    }));
    for (const drill of this.#drills.filter((each) => !beside.includes(each))) {
      if (this.#signal.aborted) break;
      await this.#one(drill, false);
    }
    const reports = this.#drills.flatMap((drill) => this.#reports.get(drill) ?? []);
    if (reports.length > 1) this.#options.print(summaryOf(reports));
    this.#write(reports);
    return reports;
  }

  async #one(drill: Drill, isBesideOthers: boolean): Promise<void> {
    const { print, isQuiet, isWithoutFault } = this.#options;
    const prefix = isBesideOthers ? `[${drill.name}] ` : '';
    if (!isQuiet) print(`${prefix}${drill.name}${isWithoutFault ? ' (without its fault)' : ''}: ${drill.title}`);
    const onEntry = (entry: Entry): void => {
      if (!isQuiet && entry.isInitial !== true) print(prefix + lineOf(entry));
    };
    const report = await runDrill(drill, this.#cluster, { isWithoutFault, isBesideOthers, onEntry, signal: this.#signal });
    this.#reports.set(drill, report);
    print(outcomeLine(report));
    this.#write([...this.#reports.values()]);
  }

  /** After each drill: what has been seen stays, whatever becomes of the rest. */
  #write(reports: readonly DrillReport[]): void {
    const { reportFolder } = this.#options;
    if (reportFolder === undefined) return;
    mkdirSync(reportFolder, { recursive: true });
    writeFileSync(join(reportFolder, 'report.json'), `${JSON.stringify({ drills: reports }, null, 2)}\n`);
    writeFileSync(join(reportFolder, 'junit.xml'), junitText(reports));
    for (const report of reports) writeFileSync(join(reportFolder, `${report.drill}.html`), pageOf(report));
  }
}

export const outcomeLine = ({ drill, status, problem, durationMs }: DrillReport): string =>
  `${drill}: ${status}${status === 'skipped' ? '' : ` after ${inSeconds(durationMs)}`}${problem === undefined ? '' : `: ${problem}`}`;

function summaryOf(reports: readonly DrillReport[]): string {
  const counts = ['passed', 'failed', 'error', 'skipped', 'interrupted'].map((status) => ({ status, count: reports.filter((report) => report.status === status).length })).filter(({ count }) => count > 0);
  return `${reports.length} drills: ${counts.map(({ status, count }) => `${count} ${status}`).join(', ')}`;
}
