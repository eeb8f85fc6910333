// KIND/NAME as kubectl takes it: plural, singular or short name, with or without its group.
import { UserError } from '../user-error.ts';
import type { Subject } from './story.ts';

export interface NamedKind {
  readonly group: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly namespaced: boolean;
}

/** A kind that is not known is taken for that of a custom resource: PLURAL.GROUP/NAME. Throws UserError for what is neither. */
export function subjectNamed(argument: string, namespace: string, kinds: readonly NamedKind[]): Subject {
  const [kindText = '', name = '', ...more] = argument.split('/');
  if (kindText === '' || name === '' || more.length > 0) throw new UserError(`"${argument}" is not KIND/NAME, such as pod/web-0 or deployment/web`, 2);
  const word = kindText.toLowerCase();
  const [plain = '', ...group] = word.split('.');
  const kind = kinds.find((one) => (one.plural === plain || one.singular === plain || one.shortNames.includes(plain)) && (group.length === 0 || one.group === group.join('.')));
  if (kind) return { resource: kind.group === '' ? kind.plural : `${kind.group}/${kind.plural}`, namespace: kind.namespaced ? namespace : undefined, name };
  if (group.length === 0) throw new UserError(`there is no kind called "${kindText}"; custom resources are named PLURAL.GROUP/NAME`, 2);
  return { resource: `${group.join('.')}/${plain}`, namespace, name };
}
