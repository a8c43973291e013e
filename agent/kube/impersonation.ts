import { ClusterError, hasStatus } from './api-error.ts';
import type { KubeHttp } from './http.ts';

/** Returns the user name of a ServiceAccount that is given as "namespace/name". */
export function serviceAccountUser(serviceAccount: string): string {
  return `system:serviceaccount:${serviceAccount.replace('/', ':')}`;
}

/**
 * Sends requests as a ServiceAccount. Its groups are not named, because the API server adds them by itself, and naming them would
 * need the right to impersonate groups. The message of a 403 names the account that was refused.
 */
export function withImpersonation(http: KubeHttp, serviceAccount: string): KubeHttp {
  const user = serviceAccountUser(serviceAccount);
  return async (request) => {
    try {
      return await http({ ...request, user: user });
    } catch (error) {
      if (!(error instanceof ClusterError) || !hasStatus(error, 403) || error.message.includes(`"${user}"`))
        throw error;
      const { status, reason, object } = error;
      throw new ClusterError(`${error.message} (as ${user})`, { status, reason, object, cause: error });
    }
  };
}
