// The experiments on a cluster of the user who runs the tests: root, as a rule.
import { TestCluster } from './cluster.ts';
import { defineExperiments } from './experiments.ts';

defineExperiments('the experiments of the study notes', () => TestCluster.start());
