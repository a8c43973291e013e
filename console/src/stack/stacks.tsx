import { useRef, useState } from 'react';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { Field, namePattern, textIn, wordsIn } from '../components/fields.tsx';
import { Head } from '../components/head.tsx';
import { Icon } from '../components/icon.tsx';
import { StackLink } from '../components/links.tsx';
import { LoadProblem, Nothing } from '../components/problem.tsx';
import { SearchField } from '../components/search-field.tsx';
import { Healths, Labels, Phases } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Ago } from '../components/time.tsx';
import { count } from '../enum-labels.ts';
import { useAll } from '../pages.ts';
import { newRequestId } from '../request-id.ts';
import { go, pathOf, setQuery, usePlace } from '../router.tsx';
import { useSession } from '../session/session.ts';

/** Every stack that the caller may see. */
export function Stacks() {
  const { broker, writes } = useSession();
  const { query } = usePlace();
  const [adding, setAdding] = useState(false);
  const search = query.get('search') ?? '';
  const { data: stacks, error } = useAll('stacks', async (page, options) => {
    const { stacks: items, nextPageToken } = await broker.listStacks({ ...page, showDeleted: true }, options);
    return { items, nextPageToken };
  });
  const shown = stacks?.filter((stack) => matches(stack, search.toLowerCase())) ?? [];
  return (
    <>
      <Head title="Stacks">
        {writes && (
          <button type="button" className="primary" onClick={() => setAdding(true)}>
            <Icon name="plus" />
            New stack
          </button>
        )}
      </Head>
      <LoadProblem error={error} />
      <search className="filters">
        <SearchField label="Search stacks" value={search} onChange={(text) => setQuery({ search: text })} />
      </search>
      <p className="sum" role="status">
        {stacks ? count(shown.length, 'stack') : 'Loading…'}
      </p>
      {stacks && shown.length === 0 ? (
        <Nothing>{stacks.length === 0 ? 'There is no stack yet.' : 'No stack is like that.'}</Nothing>
      ) : (
        <Table label="Stacks" columns={columns} rows={shown} keyOf={({ id }) => id} />
      )}
      {adding && <NewStack onClose={() => setAdding(false)} />}
    </>
  );
}

function matches({ name, generator, labels }: Stack, wanted: string): boolean {
  return `${generator}/${name}`.includes(wanted) || labels.some((label) => label.toLowerCase().includes(wanted));
}

const columns: readonly Column<Stack>[] = [
  {
    head: 'Stack',
    width: '2fr',
    cell: ({ generator, name, deleteTime }) => (
      <>
        <StackLink name={`${generator}/${name}`} />
        {deleteTime && <span className="faint"> being deleted</span>}
      </>
    ),
  },
  { head: 'Revision', width: '5.5rem', cell: ({ revision }) => (revision === 0 ? '–' : revision) },
  { head: 'Placements', width: '2fr', cell: ({ placements }) => <Phases counts={placements} /> },
  { head: 'Health', width: '2fr', cell: ({ health }) => <Healths counts={health} /> },
  { head: 'Labels', width: '1.5fr', wide: true, cell: ({ labels }) => <Labels labels={labels} most={3} /> },
  { head: 'Changed', width: '8rem', wide: true, cell: ({ updateTime }) => <Ago time={updateTime} /> },
];

function NewStack({ onClose }: { onClose: () => void }) {
  const { broker, rules, who } = useSession();
  const requestId = useRef(newRequestId());
  return (
    <ConfirmDialog
      title="New stack"
      action="Create"
      onClose={onClose}
      onDo={async (form) => {
        const { stack } = await broker.createStack({
          requestId: requestId.current,
          name: textIn(form, 'name'),
          generator: textIn(form, 'generator'),
          labels: wordsIn(form, 'labels'),
        });
        if (stack) go(pathOf('stacks', stack.generator, stack.name, 'deploy'));
      }}
    >
      <Field label="Name" name="name" hint="Small letters, digits and hyphens." {...namePattern} />
      {rules ? (
        <Field label="Generator" name="generator" hint="Who owns it; empty: the admins’ own, system." />
      ) : (
        <p className="faint">It belongs to {who.name}.</p>
      )}
      <Field label="Labels" name="labels" hint="Separated by spaces. Agents with any one of them serve it." />
    </ConfirmDialog>
  );
}
