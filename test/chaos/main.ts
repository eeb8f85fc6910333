// npm run chaos -- --seed N --rounds N [--compose] [--rootless] [--deadline SECONDS]: an endurance run. The same seed breaks
// the same things in the same order. On failure the cluster is left as it is, to be looked at.
import { parseArgs } from 'node:util';
import { runRounds } from '../../cli/chaos/rounds.ts';
import { NotWhole } from '../../cli/chaos/wholeness.ts';
import { TestCluster } from '../e2e/cluster.ts';
import { breakableComposeCluster } from './compose.ts';
import { breakableLocalCluster } from './local.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 100_000) }, rounds: { type: 'string', default: '100' },
    // Beyond the longest back-off of a container that was killed again and again.
    deadline: { type: 'string', default: '420' }, compose: { type: 'boolean', default: false }, rootless: { type: 'boolean', default: false },
  },
});
const numbers = [values.seed, values.rounds, values.deadline].map(Number);
if (numbers.some((number) => !Number.isInteger(number) || number < 0)) {
  process.stderr.write('--seed, --rounds and --deadline are whole numbers\n');
  process.exit(2);
}
const [seed = 0, rounds = 0, deadline = 0] = numbers;
const print = (line: string): void => void process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);

const local = values.compose ? undefined : await TestCluster.start(values.rootless ? 'ordinary' : 'self');
const cluster = local ? breakableLocalCluster(local) : await breakableComposeCluster();
try {
  await runRounds(cluster, { seed, rounds, deadlineMs: deadline * 1000, print });
  print('whole after every round');
  await local?.down();
} catch (error) {
  if (!(error instanceof NotWhole)) throw error;
  print(`FAILED: ${error.message}`);
  if (local) print(`the cluster is left in ${local.folder}; end it with: kubreak --dir ${local.folder} down --purge`);
  process.exitCode = 1;
}
