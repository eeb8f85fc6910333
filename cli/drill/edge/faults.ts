// What a drill has broken, and its mending: by the levers of the command line.
import { Command, CommanderError } from 'commander';
import type { ClusterAccess } from '../../access/cluster-access.ts';
import type { FaultKind, FaultWords } from '../../faults/fault.ts';
import { FaultStore } from '../../faults/fault-store.ts';
import { FAULT_KINDS } from '../../faults/kinds.ts';
import { healFault, makeFault } from '../../faults/make-and-heal.ts';
import { UserError } from '../../user-error.ts';
import type { Timeline } from '../core/timeline.ts';

/** A lever that is no fault: nothing is left of it to undo. */
const REBOOT = 'reboot';

interface Broken {
  /** By which the drill means it. */
  readonly name: string;
  readonly text: string;
  readonly lane: string;
  undo(): Promise<void>;
  /** Whether it has been undone by itself: its time is over. */
  hasEnded(): boolean;
}

export class Faults {
  readonly #cluster: ClusterAccess;
  readonly #timeline: Timeline;
  #broken: Broken[] = [];
  readonly #lanes = new Set<string>();
  #number = 0;

  constructor(cluster: ClusterAccess, timeline: Timeline) {
    this.#cluster = cluster;
    this.#timeline = timeline;
  }

  /** Throws UserError when the words make no sense or it cannot be done here. */
  async make(text: string, { name, forMs }: { readonly name: string; readonly forMs?: number }): Promise<void> {
    const [word = '', ...words] = splitWords(text);
    const kind = FAULT_KINDS.find((each) => each.name === word);
    if (kind) {
      const made = await makeFault(this.#cluster, word, parseWords(kind, words), forMs);
      const store = new FaultStore(this.#cluster);
      const whole = `${text}${made.note === undefined || made.note === '' ? '' : `: ${made.note.replaceAll('\n', ', ')}`}`;
      this.note(name, whole, made.isOver === true ? undefined : () => healFault(this.#cluster, made), () => store.read(made.id) === undefined);
    } else if (word === REBOOT && words[0] !== undefined && words.length === 1) {
      this.note(name, text, undefined);
      await this.#cluster.reboot(words[0]);
    } else throw new UserError(`"${text}" is no fault; there are ${[...FAULT_KINDS.map((each) => each.name), REBOOT].sort().join(', ')}`);
  }

  /** Something is broken now; without `undo` nothing is left to mend. */
  note(name: string, text: string, undo: (() => Promise<void>) | undefined, hasEnded = (): boolean => false): void {
    this.#number += 1;
    const lane = `${text.split(':')[0] ?? ''}${this.#lanes.has(text) ? ` (${this.#number})` : ''}`;
    this.#lanes.add(text);
    if (undo) this.#broken.push({ name, text, lane, undo, hasEnded });
    this.#timeline.add({ kind: 'fault', lane, text, tone: 'bad', ...(undo && { state: 'broken' }) });
  }

  /** Those of that name, or all; the newest first. Collects what could not be undone. */
  async heal(name: string): Promise<string[]> {
    const problems: string[] = [];
    for (const broken of this.#broken.filter((each) => name === 'all' || each.name === name).reverse()) {
      try {
        await broken.undo();
        this.#end(broken);
      } catch (error) {
        problems.push(`${broken.text}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return problems;
  }

  /** Notes those whose time is over. */
  look(): void {
    for (const broken of this.#broken.filter((each) => each.hasEnded())) this.#end(broken);
  }

  #end(broken: Broken): void {
    this.#broken = this.#broken.filter((each) => each !== broken);
    this.#timeline.add({ kind: 'heal', lane: broken.lane, text: broken.lane, state: 'mended', tone: 'plain' });
  }
}

/** As a shell would, without any of its other meanings. */
export function splitWords(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, bare]) => double ?? single ?? bare ?? '');
}

/** By the same rules as the command line. Throws UserError. */
export function parseWords(kind: Pick<FaultKind<unknown>, 'name' | 'arguments' | 'options'>, words: readonly string[]): FaultWords {
  const problems: string[] = [];
  const command = new Command(kind.name).exitOverride().configureOutput({ writeErr: (text) => problems.push(text.trim()), writeOut: () => undefined }).helpOption(false).action(() => undefined);
  if (kind.arguments !== '') command.arguments(kind.arguments);
  for (const { flags, description } of kind.options ?? []) command.option(flags, description);
  try {
    command.parse([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw new UserError(`${kind.name} ${words.join(' ')}: ${problems.join(' ').replace(/^error: /, '')}`);
  }
  const values = command.opts<Record<string, string | boolean | undefined>>();
  return { args: command.args, options: Object.fromEntries(command.options.flatMap((option) => (values[option.attributeName()] === undefined ? [] : [[option.name(), values[option.attributeName()] ?? '']]))) };
}
