// ControllerRevision of apps/v1: an earlier state of a DaemonSet or StatefulSet, kept to go back to.
import { required, type FieldError } from '#lib/machinery/field-error.ts';
import { controllerOf } from '#lib/machinery/controller-ref.ts';
import { unchanged } from '#lib/machinery/object-meta.ts';
import { ageColumn, nameColumn, NONE, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { ControllerRevision } from '../types/apps-v1.ts';
import { notNegative } from '../validation.ts';

function controllerText(revision: ControllerRevision): string {
  const controller = controllerOf(revision);
  if (controller === undefined) return NONE;
  const { apiVersion = '', kind = '', name } = controller;
  const slash = apiVersion.indexOf('/');
  const group = slash < 0 ? '' : `.${apiVersion.slice(0, slash)}`;
  return `${kind.toLowerCase()}${group}/${name}`;
}

function validate({ data, revision }: ControllerRevision): FieldError[] {
  return [
    ...(data === undefined ? [required('data', 'data is mandatory')] : []),
    ...notNegative(revision, 'revision'),
  ];
}

export const controllerRevisionKind = defineKind<ControllerRevision>({
  group: 'apps', version: 'v1', kind: 'ControllerRevision', plural: 'controllerrevisions', singular: 'controllerrevision', scope: 'Namespaced',
  schema: 'io.k8s.api.apps.v1.ControllerRevision',
  storageVersionHash: '85nkx63pcBU=',
  applyDefaults: (revision) => { revision.revision ??= 0; },
  validate,
  validateUpdate: (next, previous) => unchanged(next.data, previous.data, 'data'),
  columns: [
    nameColumn(),
    textColumn('Controller', controllerText),
    { name: 'Revision', type: 'string', value: ({ revision }) => revision },
    ageColumn(),
  ],
});
