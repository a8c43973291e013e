import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { abortable } from '../concurrency/backoff.ts';
import type { ApiAccess } from './http.ts';
import type { ClusterCredentials, TlsOptions } from './kubeconfig.ts';

/** Milliseconds for which credentials are reused; a service account's token changes within the hour. */
const reuseMs = 30_000;
/** Milliseconds after which a read is given up for a new one, because a program that makes credentials may hang. */
const readTimeoutMs = 60_000;

/** Provides current credentials with one pool of connections, which is replaced only when the TLS options change. */
export function createApiAccess({ server, read }: ClusterCredentials, maxSockets: number) {
  let current: { access: ApiAccess; tls: string; readAt: number } | undefined;
  let pending: { access: Promise<ApiAccess>; startedAt: number } | undefined;

  const renewAccess = async (): Promise<ApiAccess> => {
    const { headers, tls: options, agent: proxyAgent } = await read();
    const tls = JSON.stringify(options);
    const reused = current?.tls === tls ? current.access.agent : undefined;
    if (!reused) current?.access.agent.destroy();
    const agent = reused ?? proxyAgent ?? createAgent(server, options, maxSockets);
    current = { access: { server, headers, agent }, tls, readAt: Date.now() };
    return current.access;
  };
  return {
    /** Reads the credentials when they are old, or, with `renew`, in any case. Concurrent callers share one read. */
    async access(renew: boolean, signal: AbortSignal): Promise<ApiAccess> {
      if (current && !renew && Date.now() - current.readAt < reuseMs) return current.access;
      if (!pending || Date.now() - pending.startedAt > readTimeoutMs) {
        const started = { access: renewAccess(), startedAt: Date.now() };
        const settle = () => {
          if (pending === started) pending = undefined;
        };
        started.access.then(settle, settle);
        pending = started;
      }
      return abortable(pending.access, signal);
    },
    close: () => current?.access.agent.destroy(),
  };
}

function createAgent(server: string, tls: TlsOptions, maxSockets: number): HttpAgent {
  const options = { keepAlive: true, maxSockets, scheduling: 'lifo' } as const;
  if (!server.startsWith('https:')) return new HttpAgent(options);
  const definedTls = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
  return new HttpsAgent({ ...definedTls, ...options });
}
