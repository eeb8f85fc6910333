// A recording that is under way, in the cluster's folder: since when, and what kubreak itself has done since, a line each.
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '#lib/environment/clock.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import type { Lever, RecordedFault, RecordedHeal, RecordedLever } from './recording.ts';

type Place = Pick<ClusterAccess, 'folder' | 'mode'>;
type Noted = RecordedFault | RecordedHeal | RecordedLever;

export interface ActiveRecording {
  readonly startedMs: number;
  readonly secrets: 'left out' | 'included';
  /** Where it is to go, if that was said at the start. */
  readonly file?: string;
}

const pathOf = ({ folder, mode }: Place, name: string): string => join(folder, `${mode === 'compose' ? 'compose-' : ''}${name}`);
const stateFile = (place: Place): string => pathOf(place, 'recording.json');
const notesFile = (place: Place): string => pathOf(place, 'recording-notes.jsonl');

export function activeRecording(place: Place): ActiveRecording | undefined {
  return existsSync(stateFile(place)) ? JSON.parse(readFileSync(stateFile(place), 'utf8')) as ActiveRecording : undefined;
}
export function beginRecording(place: Place, recording: ActiveRecording): void {
  mkdirSync(place.folder, { recursive: true });
  rmSync(notesFile(place), { force: true });
  writeFileSync(stateFile(place), JSON.stringify(recording));
}
export function endRecording(place: Place): void {
  rmSync(stateFile(place), { force: true });
  rmSync(notesFile(place), { force: true });
}
export function notesOf(place: Place): Noted[] {
  return existsSync(notesFile(place)) ? readFileSync(notesFile(place), 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Noted) : [];
}

/** Called for all that is broken, healed or pulled; does nothing unless somebody records. `askedMs`: when it began. */
function note(place: Place, entry: Omit<RecordedFault, 'atMs'> | Omit<RecordedHeal, 'atMs'> | Omit<RecordedLever, 'atMs'>, askedMs: number): void {
  const recording = activeRecording(place);
  if (recording) appendFileSync(notesFile(place), `${JSON.stringify({ ...entry, atMs: Math.max(0, askedMs - recording.startedMs) })}\n`);
}
export const noteFault = (place: Place, fault: Omit<RecordedFault, 'atMs' | 'type'>, askedMs: number): void => note(place, { type: 'fault', ...fault }, askedMs);
export const noteHeal = (place: Place, id: string): void => note(place, { type: 'heal', id }, systemClock.nowMs());
export const noteLever = (place: Place, name: Lever, target: string, askedMs: number): void => note(place, { type: 'lever', name, target }, askedMs);
