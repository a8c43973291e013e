import type { KubeSource } from '../../agent/kube/kubeconfig.ts';
import { startTcpRelay, type TcpRelay } from '../tools/tcp-relay.ts';
import type { Lab } from './test-agent.ts';

/** For tests: a line to a simulated cluster that can be cut. */
export interface Cutter extends Pick<TcpRelay, 'cut' | 'close'> {
  readonly source: KubeSource;
  /** Ends every connection, and lets none through until it is joined again. */
  part(): void;
  join(): void;
}

export async function startCutter({ simulated }: Pick<Lab, 'simulated'>): Promise<Cutter> {
  if (!simulated) throw new Error('only lines to a simulated cluster can be cut');
  let isOpen = true;
  const { port, cut, close } = await startTcpRelay({ host: '127.0.0.1', port: simulated.port }, (client, upstream) => {
    if (isOpen) client.pipe(upstream).pipe(client);
    else client.destroy();
  });
  return {
    source: { text: simulated.kubeconfig.replaceAll(String(simulated.port), String(port)) },
    cut,
    close,
    part() {
      isOpen = false;
      cut();
    },
    join() {
      isOpen = true;
    },
  };
}
