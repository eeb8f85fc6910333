// Likes nodes that have the pod's images already. Source: plugins/imagelocality.
import type { Node } from '#lib/kinds/types/core-v1.ts';
import type { Plugin } from '../framework.ts';

const MEBIBYTE = 1024 * 1024;
const MIN_BYTES = 23 * MEBIBYTE;
const MAX_BYTES_PER_CONTAINER = 1000 * MEBIBYTE;

/** A name without a tag means `latest`. */
function withTag(name: string): string {
  return name.lastIndexOf(':') <= name.lastIndexOf('/') ? `${name}:latest` : name;
}
const sizeOn = (node: Node | undefined, image: string): number => node?.status?.images?.find(({ names }) => names?.includes(image))?.sizeBytes ?? 0;

export const imageLocality: Plugin = {
  name: 'ImageLocality',
  retryOn: [],
  weight: 1,
  prepareScore: ({ spec }, { nodes }) => {
    const images = [...spec.containers, ...(spec.initContainers ?? [])].map(({ image }) => withTag(image ?? ''));
    const spread = new Map(images.map((image) => [image, nodes.filter(({ node }) => sizeOn(node, image) > 0).length / Math.max(1, nodes.length)]));
    const limit = MAX_BYTES_PER_CONTAINER * images.length;
    return {
      score: ({ node }) => {
        const bytes = images.reduce((sum, image) => sum + Math.trunc(sizeOn(node, image) * (spread.get(image) ?? 0)), 0);
        return Math.trunc((100 * (Math.min(Math.max(bytes, MIN_BYTES), limit) - MIN_BYTES)) / (limit - MIN_BYTES));
      },
    };
  },
};
