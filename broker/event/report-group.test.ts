import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome, Receipt } from '../../gen/brokkr/v1/event_pb.ts';
import { startTestBroker, startTestPostgres } from '../../test/broker.ts';
import { createEventFixture, eventFor, reportEvents } from '../../test/event-fixture.ts';
import { countStatements, totalOf } from '../../test/tools/statements.ts';
import { openMigrated } from '../open-store.ts';
import { Refusal } from '../refusal.ts';
import { recordReport } from './record.ts';
import { createReportGroups } from './report-group.ts';
import type { Report } from './report-store.ts';

await using owned = new AsyncDisposableStack();
const postgres = await startTestPostgres(owned);
const counter = await countStatements(postgres);
const test = await startTestBroker({ postgres });
const db = await openMigrated(test.config);
const session = `-c search_path=${test.config.databaseSchema}`;
const other = new pg.Client({ connectionString: postgres.url, options: session });
await other.connect();
const resources = owned.move();
const { admin } = test.client();
const agents = await Promise.all(Array.from({ length: 12 }, () => createEventFixture(test)));
const sequences = new Map<object, bigint>();
/** Returns the next event of each agent. */
const nextOf = (one: (typeof agents)[number], outcome = Outcome.APPLIED) => {
  const sequence = (sequences.get(one) ?? 0n) + 1n;
  sequences.set(one, sequence);
  return eventFor(one.entry, outcome, sequence);
};

const groups = suite('reports that arrive together');
groups.after(async () => {
  await other.end();
  await db.close();
  await test.close();
  await counter.close();
  await resources.disposeAsync();
});

groups('share transactions, while one alone takes four statements', async () => {
  const [first] = agents;
  assert.ok(first);
  const alone = await counter.ofOneRun(10, () => reportEvents(first.agent, nextOf(first)));
  assert.ok(totalOf(alone) <= 4, [...alone].join('\n'));
  const together = await counter.ofOneRun(10, async () => {
    const receipts = await Promise.all(agents.map((one) => reportEvents(one.agent, nextOf(one))));
    assert.equal(
      receipts.flat(),
      agents.map(() => Receipt.ACCEPTED),
    );
  });
  assert.ok(totalOf(together) < 4 * agents.length, [...together].join('\n'));
  for (const { stack } of agents)
    assert.is((await test.client().broker.getStack({ stack })).stack?.placements?.applied, 1);
});

groups('do not wait for an agent that is being changed', async () => {
  const [held, ...others] = agents;
  assert.ok(held);
  await other.query('begin');
  await other.query('select from agent_status where agent_id = $1 for update', [held.agent.id]);
  const waiting = reportEvents(held.agent, nextOf(held));
  const receipts = await Promise.all(others.map((one) => reportEvents(one.agent, nextOf(one))));
  assert.equal(
    receipts.flat(),
    others.map(() => Receipt.ACCEPTED),
  );
  await other.query('commit');
  assert.equal(await waiting, [Receipt.ACCEPTED]);
});

groups('are refused each by itself', async () => {
  const [revoked, stale, ...others] = agents;
  assert.ok(revoked && stale);
  const keyIds = new Map<string, string>();
  for (const { agent } of agents) {
    const { paks } = await admin.listPaks({ owner: agent.name });
    keyIds.set(agent.id, paks[0]?.id ?? '');
  }
  const recorder = createReportGroups(db);
  const reportOf = (one: (typeof agents)[number], more: Partial<Report> = {}): Report => {
    const { sequence = 0n, stackId = '', deploymentId = null, generation = 0n, checksum = '' } = nextOf(one);
    const rest = { outcome: 'failed', message: '', heldKeys: [], objects: [], agentTime: null } as const;
    const events = [{ sequence, stackId, deploymentId, generation, checksum, ...rest }];
    const { id: agentId, incarnation } = one.agent;
    return { agentId, keyId: keyIds.get(agentId) ?? '', incarnation, events, ...more };
  };
  await other.query('update pak set revoked_at = now() where id = $1', [keyIds.get(revoked.agent.id)]);
  const results = await Promise.all([
    recorder.record(reportOf(revoked)),
    recorder.record(reportOf(stale, { incarnation: 0n })),
    ...others.map((one) => recorder.record(reportOf(one))),
    ...others.map((one) => recorder.record(reportOf(one))),
  ]);
  const names = results.map((result) =>
    result === undefined
      ? 'left out'
      : result instanceof Refusal
        ? (result.reason ?? result.kind)
        : result.received.map(({ receipt }) => receipt).join(),
  );
  assert.equal(names, ['unauthenticated', 'STALE_INCARNATION', ...[...others, ...others].map(() => 'accepted')]);

  // An error of the database concerns the whole group, so everybody in it records by himself.
  const [poisoner, ...rest] = others;
  assert.ok(poisoner);
  const poison = reportOf(poisoner);
  const events = poison.events.map((event) => ({ ...event, message: 'a\0' }));
  const healthy = rest.map((one) => reportOf(one));
  const grouped = await Promise.all([...healthy, { ...poison, events }].map(recorder.record));
  await recorder.close();
  for (const [position, report] of healthy.entries()) {
    const result = grouped[position] ?? (await db.transactPrepared((tx) => recordReport(tx, report)));
    assert.ok(!(result instanceof Refusal) && result.received[0]?.receipt === 'accepted');
  }
  assert.is(grouped.at(-1), undefined);
});

groups.run();
