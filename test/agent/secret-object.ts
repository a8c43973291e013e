import type { KubeObject } from '../../agent/object/kube-object.ts';

/** A value that must not appear in anything that the agent reports. */
export const secretValue = 'c2VjcmV0LWNhbmFyeQ==';

/** A Secret that contains the value in its data, and in an annotation of kubectl. */
export const secretObject: KubeObject = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {
    name: 'credentials',
    namespace: 'default',
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': `{"data":{"password":"${secretValue}"}}` },
  },
  data: { password: secretValue },
};
