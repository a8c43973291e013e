import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Pass, PassResult, SyncContext } from './context.ts';
import { stages } from './stage.ts';

const order = suite('stages of a pass');
const context = {} as SyncContext;
const repeat: PassResult = { kind: 'repeat' };

/** A pass that records which stages it enters. */
function recordingPass(): { pass: Pass; entered: string[] } {
  const entered: string[] = [];
  return { pass: { enterStage: (name: string) => entered.push(name) } as unknown as Pass, entered };
}

order('run in order, each with what earlier ones made', async () => {
  const { pass, entered } = recordingPass();
  const seen: number[] = [];
  const run = stages()
    .add('first', () => ({ next: { one: 1 } }))
    .add('second', async ({ one }) => ({ next: { two: one + 1 } }))
    .end('last', ({ one, two }) => {
      seen.push(one, two);
      return repeat;
    });
  assert.is(await run(context, pass), repeat);
  assert.equal(seen, [1, 2]);
  assert.equal(entered, ['first', 'second', 'last']);
});

order('end with the first one that stops', async () => {
  const { pass, entered } = recordingPass();
  const run = stages()
    .add('first', () => ({ stop: repeat }))
    .end('last', () => {
      throw new Error('was not to run');
    });
  assert.is(await run(context, pass), repeat);
  assert.equal(entered, ['first']);
});

order('clean up whether the pass returns or throws', async () => {
  const { pass } = recordingPass();
  for (const fails of [false, true]) {
    let cleanups = 0;
    const run = stages()
      .add('first', ({ cleanup }) => {
        cleanup.defer(() => cleanups++);
        return { next: {} };
      })
      .end('last', async () => {
        assert.is(cleanups, 0);
        if (fails) throw new Error('the last stage fails');
        return repeat;
      });
    const error = await run(context, pass).then(
      () => undefined,
      (reason: Error) => reason,
    );
    assert.is(error?.message, fails ? 'the last stage fails' : undefined);
    assert.is(cleanups, 1);
  }
});

order.run();
