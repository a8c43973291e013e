import { stringify } from 'yaml';

/**
 * Kubernetes objects as YAML, so that Kubernetes reads back what was written: it takes `no` and `on` for booleans, as YAML 1.1 has it,
 * and so such strings are quoted.
 */
export function kubernetesYaml(value: unknown, options: { readonly sorted?: boolean } = {}): string {
  return stringify(value, {
    lineWidth: 0,
    version: '1.1',
    aliasDuplicateObjects: false,
    sortMapEntries: options.sorted ?? false,
  });
}
