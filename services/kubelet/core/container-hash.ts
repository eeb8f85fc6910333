// The hash by which the kubelet sees that a container's definition changed: over its name and image only, so that a
// newer kubelet with more fields does not restart every container. Source: pkg/kubelet/container/helpers.go.
import type { Container } from '#lib/kinds/types/core-v1.ts';
import { canonicalJson, fnv1a32 } from '#lib/machinery/hash.ts';

export const containerHash = ({ name, image }: Container): string => fnv1a32(canonicalJson({ name, image })).toString(16);
