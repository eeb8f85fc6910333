// The API servers of a cluster, one a master, as takers of rules.
import { API_FAULT_PATH, type ApiFaultRule, type ApiFaultState } from '#lib/api-fault/rule.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { mastersOf } from '../cluster-layout.ts';
import { BUNDLE_FOLDER } from '../host-files.ts';
import { UserError } from '../user-error.ts';
import type { ControlAnswer } from './control-answer.ts';

const DISABLED = 'the API servers of this cluster take no rules; let them with: kubreak api-fault enable (which restarts them)';
const CALL_TIMEOUT_MS = 20_000;

export interface RulesOfMaster {
  readonly master: string;
  /** Undefined: no process runs there, so there are no rules. */
  readonly rules: readonly ApiFaultState[] | undefined;
}

/** Throws UserError when the server is there but does not answer, or refuses. */
async function ask(cluster: ClusterAccess, master: string, method: 'GET' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<RulesOfMaster | 'disabled'> {
  const answer = await onMaster(cluster, master, method, path, body === undefined ? '' : JSON.stringify(body));
  switch (answer.outcome) {
    case 'disabled': return 'disabled';
    case 'down': return { master, rules: undefined };
    case 'silent': throw new UserError(`the API server of ${master} does not answer: ${answer.problem}`);
    case 'answer': {
      if (answer.code === 401) return 'disabled'; // started without the flag: the credential is one that it does not know
      if (answer.code !== 200) throw new UserError(`the API server of ${master} refuses: ${messageOf(answer.body)}`);
      return { master, rules: (JSON.parse(answer.body) as { rules: ApiFaultState[] }).rules };
    }
  }
}

async function onMaster(cluster: ClusterAccess, master: string, method: string, path: string, input: string): Promise<ControlAnswer> {
  let result;
  try {
    result = await cluster.onHost(master, ['node', `${BUNDLE_FOLDER}/dist/master-tool.js`, 'api-fault', method, path], { input, timeoutMs: CALL_TIMEOUT_MS });
  } catch (error) {
    if (error instanceof UserError && error.exitCode !== 2) return { outcome: 'down' }; // the host is
    throw error;
  }
  if (result.code !== 0) throw new UserError(`${master}: ${result.stderr.trim() || `node ended with ${result.code}`}`);
  return JSON.parse(result.stdout) as ControlAnswer;
}

function messageOf(body: string): string {
  try {
    return (JSON.parse(body) as { message?: string }).message ?? body;
  } catch {
    return body;
  }
}

/** Of all masters at once. Throws UserError when the servers take no rules. */
async function askAll(cluster: ClusterAccess, method: 'GET' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<RulesOfMaster[]> {
  const answers = await Promise.all(mastersOf(cluster.hosts).map(({ name }) => ask(cluster, name, method, path, body)));
  const present = answers.filter((answer) => answer !== 'disabled');
  if (present.length === 0) throw new UserError(DISABLED);
  return present;
}

/** Returns the masters that have it now. Throws UserError when none has. */
export async function putRule(cluster: ClusterAccess, rule: ApiFaultRule): Promise<readonly string[]> {
  const taken = (await askAll(cluster, 'PUT', `${API_FAULT_PATH}/${rule.id}`, rule)).filter(({ rules }) => rules !== undefined);
  if (taken.length === 0) throw new UserError('no API server is running');
  return taken.map(({ master }) => master);
}

/** A server without the rule, or that is not there, is fine. Throws UserError when one does not answer. */
export async function removeRule(cluster: ClusterAccess, id: string): Promise<void> {
  await Promise.all(mastersOf(cluster.hosts).map(({ name }) => ask(cluster, name, 'DELETE', `${API_FAULT_PATH}/${id}`)));
}

export const rulesOfAll = (cluster: ClusterAccess): Promise<RulesOfMaster[]> => askAll(cluster, 'GET', API_FAULT_PATH);
/** Throws UserError when the servers take no rules. */
export async function requireRules(cluster: ClusterAccess): Promise<void> {
  await rulesOfAll(cluster);
}

/** Whether any server has it. */
export async function hasRule(cluster: ClusterAccess, id: string): Promise<boolean> {
  const answers = await Promise.all(mastersOf(cluster.hosts).map(({ name }) => ask(cluster, name, 'GET', API_FAULT_PATH)));
  return answers.some((answer) => answer !== 'disabled' && (answer.rules ?? []).some(({ rule }) => rule.id === id));
}
