import type { KubeSource } from '../../agent/kube/kubeconfig.ts';
import { startTcpRelay, type TcpRelay } from '../tools/tcp-relay.ts';
import type { TestCluster } from './test-agent.ts';

/** A connection to a simulated cluster that tests can interrupt. */
export interface InterruptibleCluster extends Pick<TcpRelay, 'cut' | 'close'> {
  readonly source: KubeSource;
  /** Closes every connection and refuses new ones until `reconnect`. */
  disconnect(): void;
  reconnect(): void;
}

export async function startInterruptible({ simulated }: Pick<TestCluster, 'simulated'>): Promise<InterruptibleCluster> {
  if (!simulated) throw new Error('only connections to a simulated cluster can be interrupted');
  let isOpen = true;
  const { port, cut, close } = await startTcpRelay({ host: '127.0.0.1', port: simulated.port }, (client, upstream) => {
    if (isOpen) client.pipe(upstream).pipe(client);
    else client.destroy();
  });
  return {
    source: { text: simulated.kubeconfig.replaceAll(String(simulated.port), String(port)) },
    cut,
    close,
    disconnect() {
      isOpen = false;
      cut();
    },
    reconnect() {
      isOpen = true;
    },
  };
}
