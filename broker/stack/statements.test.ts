import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBroker, startTestPostgres } from '../../test/broker.ts';
import { countStatements, totalOf } from '../../test/tools/statements.ts';

await using owned = new AsyncDisposableStack();
const postgres = await startTestPostgres(owned);
const counter = await countStatements(postgres);
const test = await startTestBroker({ postgres });
const { admin, broker } = test.client();
const resources = owned.move();

const lists = suite('the list of stacks');
lists.after(async () => {
  await test.close();
  await counter.close();
  await resources.disposeAsync();
});

lists('takes three statements, however many stacks and placements it shows', async () => {
  await admin.createGenerator({ name: 'ci' });
  await admin.createAgent({ name: 'edge', labels: ['a'], generators: ['ci'] });
  for (let at = 0; at < 30; at += 1)
    await broker.createStack({ name: `s${at}`, generator: 'ci', labels: ['a', 'b'], annotations: { x: '1' } });
  const found = await counter.ofOneRun(10, () => broker.listStacks({ pageSize: 20 }));
  assert.ok(totalOf(found) <= 3, [...found].join('\n'));
  assert.is(
    (await broker.listStacks({ pageSize: 20 })).stacks.filter((stack) => stack.placements?.pending === 1).length,
    20,
  );
});

lists('shows the details that single reads show, in the order of generator and name', async () => {
  await admin.createGenerator({ name: 'aa' });
  await broker.createStack({ name: 'zz', generator: 'aa' });
  await broker.createStack({
    name: 'full',
    generator: 'aa',
    labels: ['z', 'a'],
    annotations: { y: '2', x: '1' },
    dependsOn: ['zz'],
    selector: {
      matchLabels: { k: 'v' },
      matchExpressions: [{ key: 'e', operator: 3 }],
    },
    ignoredFields: [{ kind: 'Deployment', name: '', paths: ['.spec.replicas'] }],
  });
  await admin.addRegistration({ agent: 'edge', generator: 'aa' });
  await broker.addTarget({ stack: 'aa/full', agent: 'edge' });
  await broker.deleteStack({ stack: 'ci/s3' });
  for (const request of [
    {},
    { generator: 'aa' },
    { label: 'z' },
    { showDeleted: true },
    { generator: 'ci', showDeleted: true },
  ]) {
    const all: string[] = [];
    for (let pageToken = ''; ; ) {
      const page = await broker.listStacks({ ...request, pageSize: 7, pageToken });
      for (const stack of page.stacks) {
        assert.equal(stack, (await broker.getStack({ stack: stack.id })).stack);
        all.push(`${stack.generator}/${stack.name}`);
      }
      pageToken = page.nextPageToken;
      if (pageToken === '') break;
    }
    assert.equal(all, [...all].sort());
    assert.is(all.length, new Set(all).size);
    assert.is(all.includes('aa/full'), request.generator !== 'ci');
    assert.is(all.includes('ci/s3'), request.showDeleted === true);
  }
});

lists.run();
