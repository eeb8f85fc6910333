import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StepReport } from '../../cli/drill/core/report.ts';
import { selfCheckProblem } from './self-check.ts';

const step = (status: StepReport['status']): StepReport => ({ number: 1, text: '', status });

test('without its fault a drill has to miss something that it expects', () => {
  assert.equal(selfCheckProblem({ status: 'failed', problem: 'x', steps: [step('done'), step('failed')] }), undefined);
  assert.equal(selfCheckProblem({ status: 'passed', steps: [step('done')] }), 'it passes, and shows nothing');
  assert.match(selfCheckProblem({ status: 'error', problem: 'kubectl', steps: [step('error')] }) ?? '', /it ended otherwise: error: kubectl/);
  assert.match(selfCheckProblem({ status: 'failed', problem: 'not whole', steps: [step('done')] }) ?? '', /otherwise/);
});
