import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makePak } from '../broker/access/pak.ts';
import { eventDays } from '../broker/event/partition-store.ts';
import { Health } from '../gen/brokkr/v1/health_pb.ts';
import { MatchKind, PlacementPhase } from '../gen/brokkr/v1/placement_pb.ts';
import { readPages } from './pages.ts';
import { tableBelow } from './tables.ts';

const text = readPages().get('explanation/core-concepts.md')?.text ?? '';
const concepts = suite('core concepts');

/** Returns the names of an enum's values in lower case. */
function wordsOf(values: object): string[] {
  return Object.keys(values)
    .filter((name) => name !== 'UNSPECIFIED')
    .map((name) => name.toLowerCase());
}

concepts('name every phase of a placement', () => {
  assert.equal(
    tableBelow(text, '### Placement').map(({ phase }) => phase),
    wordsOf(PlacementPhase),
  );
});

concepts('name every health', () => {
  assert.equal(
    tableBelow(text, '### Health')
      .map(({ health }) => health)
      .sort(),
    wordsOf(Health).sort(),
  );
});

concepts('name every way in which a stack finds its agents', () => {
  assert.equal(
    tableBelow(text, '## How a stack finds its agents').map(({ way }) => way),
    wordsOf(MatchKind),
  );
});

concepts('name every kind of key', () => {
  const roles = tableBelow(text, '### Keys').map((row) => row['begins with']?.slice('brokkr_'.length) ?? '');
  assert.equal(roles, ['ad', 'ro', 'ge', 'ag', 'en']);
  for (const role of roles) assert.ok(makePak(role as 'ad').text.startsWith(`brokkr_${role}`));
});

concepts('state how long events are kept', () => {
  assert.match(text, `kept for ${eventDays} days`);
});

concepts.run();
