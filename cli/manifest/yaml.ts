import { stringify } from 'yaml';

/**
 * Writes Kubernetes objects as YAML 1.1, as Kubernetes reads it: strings such as `no` and `on`, which YAML 1.1 takes for booleans, are
 * quoted.
 */
export function kubernetesYaml(value: unknown, options: { readonly sorted?: boolean } = {}): string {
  return stringify(value, {
    lineWidth: 0,
    version: '1.1',
    aliasDuplicateObjects: false,
    sortMapEntries: options.sorted ?? false,
  });
}
