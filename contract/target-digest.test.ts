import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hashTargetState } from './target-digest.ts';
import type { TargetEntry, TargetState } from './target-state.ts';

const digest = suite('digest of a target state');

const web: TargetEntry = {
  stackId: '0198f3a0-0000-7000-8000-000000000001',
  stack: 'team/web',
  generator: 'team',
  deploymentId: '0198f3a0-0000-7000-8000-00000000000a',
  revision: 7,
  order: 4_611_686_018_427_387_000n,
  state: 'active',
  generation: 3n,
  checksum: 'ab'.repeat(32),
  size: 1234,
  onDelete: 'prune',
  held: false,
  confirmed: false,
  confirmedKeys: [],
  kinds: ['apps/v1/Deployment', 'v1/ConfigMap'],
  reason: '',
  serviceAccount: '',
  drift: 'repair',
  conflict: 'adopt',
  ignoredFields: [],
  forceReplace: false,
  dependsOnIds: [],
  traceParent: '',
};
const db: TargetEntry = {
  ...web,
  stackId: '0198f3a0-0000-7000-8000-000000000002',
  stack: 'team/db',
  serviceAccount: 'team/deployer',
  drift: 'report',
  conflict: 'refuse',
  ignoredFields: [
    { kind: 'apps/Deployment', name: 'web', paths: ['.spec.replicas', '.spec.paused'] },
    { kind: '', name: '', paths: ['.data'] },
  ],
  dependsOnIds: [web.stackId, '0198f3a0-0000-7000-8000-000000000003'],
  confirmed: true,
  confirmedKeys: ['0a', '0b'],
  traceParent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
};
const removal: TargetEntry = {
  ...web,
  stackId: '0198f3a0-0000-7000-8000-000000000003',
  stack: 'old',
  generator: 'system',
  deploymentId: '',
  revision: 0,
  state: 'removing',
  generation: 9n,
  checksum: '',
  size: 0,
  onDelete: 'orphan',
  held: true,
  kinds: [],
  reason: 'no longer matches “prod”',
  drift: 'ignore',
};
const noRules = { allowNamespaces: [], denyNamespaces: [], allowKinds: [], denyKinds: [] };
const generators: TargetState['generators'] = [
  { generator: 'system', limits: { ...noRules, clusterScoped: true } },
  {
    generator: 'team',
    limits: {
      allowNamespaces: ['team', 'team-*'],
      denyNamespaces: ['team-x'],
      allowKinds: ['apps/*', 'ConfigMap'],
      denyKinds: ['Secret'],
      clusterScoped: false,
    },
  },
];
const full: TargetState = { epoch: 12n, paused: false, entries: [web, db, removal], generators };

/** Recorded when broker and agent still computed it each by their own code, and agreed. Brokers and agents of those versions are in use. */
const recorded: readonly (TargetState & { readonly hex: string })[] = [
  {
    epoch: 1n,
    paused: false,
    entries: [],
    generators: [],
    hex: '1fa5850626305a2e7789003be2909c182472674751c3a89310ca5caab712129f',
  },
  {
    epoch: 2n,
    paused: true,
    entries: [],
    generators: [],
    hex: '9c1f5c0c8d8e80cf1b1ccc3a0453f81207591dd34e796fd285c9704dec81fd5d',
  },
  {
    epoch: 1n,
    paused: false,
    entries: [web],
    generators: [],
    hex: '0423228b601f0c1da5b1b56a5d23699270f49563c68242f77b354315125e8202',
  },
  { ...full, hex: '7d84868170f3772b51f09c551ce740962ee841ffbc980c5e487b5343dbf512ff' },
];

const hexOf = (state: TargetState) => hashTargetState(state, createHash('sha256')).digest('hex');

digest('is what released brokers and agents compute', () => {
  for (const { hex, ...state } of recorded) assert.is(hexOf(state), hex);
});

digest('does not depend on the order in which the entries came', () => {
  assert.is(hexOf({ ...full, entries: [removal, web, db] }), hexOf(full));
});

digest('changes with every field of an entry but the trace, and the setting of which a change raises the order', () => {
  const others: Record<keyof TargetEntry, unknown> = {
    stackId: 'other',
    stack: 'other',
    generator: 'other',
    deploymentId: 'other',
    revision: 8,
    order: 1n,
    state: 'removing',
    generation: 4n,
    checksum: 'cd'.repeat(32),
    size: 1,
    onDelete: 'orphan',
    held: true,
    confirmed: true,
    confirmedKeys: ['0a'],
    kinds: [],
    reason: 'other',
    serviceAccount: 'other',
    drift: 'ignore',
    conflict: 'refuse',
    ignoredFields: [{ kind: '', name: '', paths: ['.spec'] }],
    forceReplace: true,
    dependsOnIds: ['other'],
    traceParent: 'other',
  };
  const before = { ...web, confirmed: true };
  const state = (entry: TargetEntry) => ({ ...full, entries: [entry] });
  const same = (Object.keys(others) as (keyof TargetEntry)[]).filter((field) => {
    const from = field === 'confirmed' ? web : before;
    return hexOf(state({ ...from, [field]: others[field] })) === hexOf(state(from));
  });
  assert.equal(same, ['forceReplace', 'traceParent']);
});

digest.run();
