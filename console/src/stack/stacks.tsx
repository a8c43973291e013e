import { useRef, useState } from 'react';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { Field, namePattern, textIn, wordsIn } from '../components/fields.tsx';
import { Icon } from '../components/icon.tsx';
import { StackLink } from '../components/links.tsx';
import { EmptyState, ErrorMessage } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { SearchField } from '../components/search-field.tsx';
import { HealthTally, Labels, PhaseTally } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { ViewHeader } from '../components/view-header.tsx';
import { countText } from '../enum-labels.ts';
import { useAllPages } from '../pages.ts';
import { newRequestId } from '../request-id.ts';
import { navigate, pathOf, setQuery, useLocation } from '../router.tsx';
import { useSession } from '../session/session.ts';

/** Lists every stack that the caller may see. */
export function Stacks() {
  const { broker, canWrite } = useSession();
  const { query } = useLocation();
  const [adding, setAdding] = useState(false);
  const search = query.get('search') ?? '';
  const { data: stacks, error } = useAllPages('stacks', async (page, options) => {
    const { stacks: items, nextPageToken } = await broker.listStacks({ ...page, showDeleted: true }, options);
    return { items, nextPageToken };
  });
  const shown = stacks?.filter((stack) => matches(stack, search.toLowerCase())) ?? [];
  return (
    <>
      <ViewHeader title="Stacks">
        {canWrite && (
          <button type="button" className="primary" onClick={() => setAdding(true)}>
            <Icon name="plus" />
            New stack
          </button>
        )}
      </ViewHeader>
      <ErrorMessage error={error} />
      <search className="filters">
        <SearchField label="Search stacks" value={search} onChange={(text) => setQuery({ search: text })} />
      </search>
      <p className="sum" role="status">
        {stacks ? countText(shown.length, 'stack') : 'Loading…'}
      </p>
      {stacks && shown.length === 0 ? (
        <EmptyState>{stacks.length === 0 ? 'There are no stacks yet.' : 'No stack matches.'}</EmptyState>
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
  { head: 'Placements', width: '2fr', cell: ({ placements }) => <PhaseTally counts={placements} /> },
  { head: 'Health', width: '2fr', cell: ({ health }) => <HealthTally counts={health} /> },
  { head: 'Labels', width: '1.5fr', wide: true, cell: ({ labels }) => <Labels labels={labels} limit={3} /> },
  { head: 'Changed', width: '8rem', wide: true, cell: ({ updateTime }) => <RelativeTime time={updateTime} /> },
];

function NewStack({ onClose }: { onClose: () => void }) {
  const { broker, isAdmin, caller } = useSession();
  const requestId = useRef(newRequestId());
  return (
    <ConfirmDialog
      title="New stack"
      action="Create"
      onClose={onClose}
      onConfirm={async (form) => {
        const { stack } = await broker.createStack({
          requestId: requestId.current,
          name: textIn(form, 'name'),
          generator: textIn(form, 'generator'),
          labels: wordsIn(form, 'labels'),
        });
        if (stack) navigate(pathOf('stacks', stack.generator, stack.name, 'deploy'));
      }}
    >
      <Field label="Name" name="name" hint="Lowercase letters, digits and hyphens." {...namePattern} />
      {isAdmin ? (
        <Field label="Generator" name="generator" hint="The owner. Empty: system, which belongs to the admins." />
      ) : (
        <p className="faint">The stack will belong to {caller.name}.</p>
      )}
      <Field label="Labels" name="labels" hint="Separated by spaces. Agents that share any of them serve the stack." />
    </ConfirmDialog>
  );
}
