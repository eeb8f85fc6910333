// Which fields Go leaves out when they are zero: those marked omitempty that are no pointers. The table of messages knows.
import { parseMessages, type Messages } from './decode.ts';
import { MESSAGES } from './messages.ts';

let messages: Messages | undefined;
const known = new Map<string, ReadonlySet<string>>();
const NONE: ReadonlySet<string> = new Set();

/** Names of a definition's plain fields whose zero is not written; none for what upstream has no struct of. */
export function unwrittenZeros(definition: string): ReadonlySet<string> {
  const found = known.get(definition);
  if (found) return found;
  messages ??= parseMessages(MESSAGES);
  const line = messages.get(definition);
  if (line === undefined) return NONE;
  const names = line.split('; ').flatMap((field) => {
    const [, name = '', type = ''] = field.split(' ');
    if (type.endsWith('^')) return [...unwrittenZeros(type.slice('ref:'.length, -1))];
    return /^(string|bool|int32|int64|double)$/.test(type) ? [name] : [];
  });
  const set = new Set(names);
  known.set(definition, set);
  return set;
}
