// PriorityLevelConfiguration of flowcontrol.apiserver.k8s.io/v1: how many requests of a level run at once, and how the rest waits.
import { ageColumn, nameColumn, NONE, textColumn } from '../columns.ts';
import { defineKind, type Column } from '../define-kind.ts';
import { keepStatus } from '../strategy.ts';
import type { PriorityLevelConfiguration, PriorityLevelConfigurationSpec, QueuingConfiguration } from '../types/flowcontrol-v1.ts';

function applyDefaults(level: PriorityLevelConfiguration): void {
  // A body may leave out what the type requires.
  const { exempt, limited } = (level.spec ??= {} as PriorityLevelConfigurationSpec);
  if (exempt !== undefined) {
    exempt.nominalConcurrencyShares ??= 0;
    exempt.lendablePercent ??= 0;
  }
  if (limited === undefined) return;
  limited.nominalConcurrencyShares ??= 30;
  limited.lendablePercent ??= 0;
  const queuing = limited.limitResponse?.queuing;
  if (queuing === undefined) return;
  queuing.handSize ||= 8;
  queuing.queues ||= 64;
  queuing.queueLengthLimit ||= 50;
}

const numberColumn = (name: string, value: (limited: PriorityLevelConfigurationSpec['limited']) => number | undefined): Column<PriorityLevelConfiguration> =>
  ({ name, type: 'string', value: ({ spec }) => value(spec.limited) ?? NONE });
const queuingColumn = (name: string, field: keyof QueuingConfiguration): Column<PriorityLevelConfiguration> => numberColumn(name, (limited) => limited?.limitResponse?.queuing?.[field]);

export const priorityLevelConfigurationKind = defineKind<PriorityLevelConfiguration>({
  group: 'flowcontrol.apiserver.k8s.io', version: 'v1', kind: 'PriorityLevelConfiguration', plural: 'prioritylevelconfigurations', singular: 'prioritylevelconfiguration', scope: 'Cluster',
  schema: 'io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration',
  storageVersionHash: 'Kir5PVfvNeI=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults,
  prepareForCreate: (level) => { level.status = {}; },
  prepareForUpdate: keepStatus,
  generation: 'spec-change',
  columns: [
    nameColumn(),
    textColumn('Type', ({ spec }) => spec.type ?? ''),
    numberColumn('NominalConcurrencyShares', (limited) => limited?.nominalConcurrencyShares),
    queuingColumn('Queues', 'queues'),
    queuingColumn('HandSize', 'handSize'),
    queuingColumn('QueueLengthLimit', 'queueLengthLimit'),
    ageColumn(),
  ],
});
