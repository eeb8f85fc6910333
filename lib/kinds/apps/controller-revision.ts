// ControllerRevision of apps/v1.
import { defineKind } from '../define-kind.ts';
import type { ControllerRevision } from '../types/apps-v1.ts';

export const controllerRevisionKind = defineKind<ControllerRevision>({
  group: 'apps', version: 'v1', kind: 'ControllerRevision', plural: 'controllerrevisions', singular: 'controllerrevision', scope: 'Namespaced',
  schema: 'io.k8s.api.apps.v1.ControllerRevision',
  storageVersionHash: '85nkx63pcBU=',
});
