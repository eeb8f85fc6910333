// PodTemplate of v1: a template that nothing acts on by itself.
import { labelsText, nameColumn, templateColumns, textColumn } from '../columns.ts';
import { defineKind, type Column } from '../define-kind.ts';
import type { PodTemplate } from '../types/core-v1.ts';
import { defaultPodTemplate } from './pod-defaults.ts';
import { validatePodTemplate } from './pod-validation.ts';

export const podTemplateKind = defineKind<PodTemplate>({
  group: '', version: 'v1', kind: 'PodTemplate', plural: 'podtemplates', singular: 'podtemplate', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.PodTemplate',
  storageVersionHash: 'LIXB2x4IFpk=',
  applyDefaults: (podTemplate) => { defaultPodTemplate((podTemplate.template ??= {})); },
  validate: ({ template }) => validatePodTemplate(template, 'template'),
  generation: 'spec-change',
  columns: [
    nameColumn(),
    ...templateColumns<PodTemplate>(({ template }) => template).map((column): Column<PodTemplate> => ({ ...column, priority: 0 })),
    textColumn('Pod Labels', ({ template }) => labelsText(template?.metadata?.labels)),
  ],
});
