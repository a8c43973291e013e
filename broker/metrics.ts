import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { collectDefaultMetrics, Gauge, type Registry } from 'prom-client';
import { type Address, hostOf } from './config.ts';
import type { Jobs } from './jobs/jobs.ts';
import type { Feed } from './store/feed.ts';
import type { Database } from './store/orm.ts';

export interface MetricsPort {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves `/metrics` in Prometheus' text format. Rejects when the address cannot be had. */
export async function openMetricsPort(
  address: Address,
  register: Registry,
  { feed, jobs }: { db: Database; feed: Feed; jobs: Jobs },
): Promise<MetricsPort> {
  collectDefaultMetrics({ register });
  new Gauge({
    name: 'brokkr_change_feed_healthy',
    help: 'Whether the change feed was read within the last 3 s.',
    registers: [register],
    collect() {
      this.set(feed.healthy() ? 1 : 0);
    },
  });
  new Gauge({
    name: 'brokkr_job_changes_total',
    help: 'Rows that each background job changed since the start; placement_repair must stay 0.',
    labelNames: ['job'],
    registers: [register],
    collect() {
      for (const [job, count] of jobs.counts) this.set({ job }, count);
    },
  });
  const server = createServer((request, response) => {
    if (request.url?.split('?', 1)[0] !== '/metrics') {
      response.writeHead(404).end('not found\n');
      return;
    }
    register.metrics().then(
      (text) => response.writeHead(200, { 'content-type': register.contentType }).end(text),
      () => response.writeHead(500).end('the metrics could not be collected\n'),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(address.port, address.host, () => resolve());
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${hostOf(address.host)}:${port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
