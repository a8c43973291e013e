import { ClusterError, hasStatus } from './api-error.ts';
import type { KubeHttp } from './http.ts';

/** The user name of a ServiceAccount, given as "namespace/name". */
export function userOf(serviceAccount: string): string {
  return `system:serviceaccount:${serviceAccount.replace('/', ':')}`;
}

/**
 * The same requests, made as a ServiceAccount. The API server gives it the groups that a ServiceAccount has: were they named here, the
 * agent would need the right to impersonate groups as well. A 403 says who was not allowed.
 */
export function impersonating(http: KubeHttp, serviceAccount: string): KubeHttp {
  const user = userOf(serviceAccount);
  return async (request) => {
    try {
      return await http({ ...request, impersonate: user });
    } catch (error) {
      if (!(error instanceof ClusterError) || !hasStatus(error, 403) || error.message.includes(`"${user}"`))
        throw error;
      const { status, reason, object } = error;
      throw new ClusterError(`${error.message} (as ${user})`, { status, reason, object, cause: error });
    }
  };
}
