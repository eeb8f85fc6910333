// A pod that names its node goes nowhere else.
import { unresolvable, type Plugin } from '../framework.ts';

export const nodeName: Plugin = {
  name: 'NodeName',
  retryOn: ['Node/Add'],
  prepareFilter: ({ spec }) => ({
    filter: ({ name }) => (spec.nodeName !== undefined && spec.nodeName !== '' && spec.nodeName !== name ? unresolvable('NodeName', "node(s) didn't match the requested node name") : undefined),
  }),
};
