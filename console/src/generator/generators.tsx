import { useRef, useState } from 'react';
import { type Generator, RegistrationPolicy } from '../../../gen/brokkr/v1/generator_pb.ts';
import { ConfirmDialog, NewKey } from '../components/dialog.tsx';
import { Field, namePattern, textIn, wordsIn } from '../components/fields.tsx';
import { Icon } from '../components/icon.tsx';
import { ErrorMessage } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { Clipped } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { ViewHeader } from '../components/view-header.tsx';
import { useAllPages } from '../pages.ts';
import { newRequestId } from '../request-id.ts';
import { Link, pathOf } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Registrations } from './registrations.tsx';

/** Lists the generators and all registrations. */
export function Generators() {
  const { admin, isAdmin } = useSession();
  const [adding, setAdding] = useState(false);
  const { data, error, reload } = useAllPages('generators', async (page, options) => {
    const { generators: items, nextPageToken } = await admin.listGenerators({ ...page, showDeleted: true }, options);
    return { items, nextPageToken };
  });
  return (
    <>
      <ViewHeader title="Generators">
        {isAdmin && (
          <button type="button" className="primary" onClick={() => setAdding(true)}>
            <Icon name="plus" />
            New generator
          </button>
        )}
      </ViewHeader>
      <ErrorMessage error={error} />
      <Table label="Generators" columns={columns} rows={data ?? []} keyOf={({ id }) => id} />
      <section aria-labelledby="registrations">
        <h2 id="registrations">Registrations</h2>
        <Registrations />
      </section>
      {adding && (
        <NewGenerator
          onClose={() => {
            setAdding(false);
            reload();
          }}
        />
      )}
    </>
  );
}

/** Texts for the registration policies: when an agent is registered. */
export const registrationPolicyNames: Readonly<Record<RegistrationPolicy, string>> = {
  [RegistrationPolicy.UNSPECIFIED]: 'immediately',
  [RegistrationPolicy.OPEN]: 'immediately',
  [RegistrationPolicy.APPROVE]: 'after approval by an admin',
};

const columns: readonly Column<Generator>[] = [
  {
    head: 'Name',
    width: '2fr',
    cell: ({ name, deleteTime }) => (
      <>
        <Link className="name" href={pathOf('generators', name)}>
          {name}
        </Link>
        {deleteTime && <span className="faint"> being deleted</span>}
      </>
    ),
  },
  { head: 'Stacks', width: '5rem', cell: ({ stackCount }) => stackCount },
  { head: 'Agents', width: '5rem', cell: ({ agentCount }) => agentCount },
  {
    head: 'Agents register',
    width: '1.5fr',
    wide: true,
    cell: ({ registration }) => registrationPolicyNames[registration],
  },
  {
    head: 'Description',
    width: '2fr',
    wide: true,
    cell: ({ description }) => <Clipped text={description} />,
  },
  { head: 'Created', width: '8rem', wide: true, cell: ({ createTime }) => <RelativeTime time={createTime} /> },
];

function NewGenerator({ onClose }: { onClose: () => void }) {
  const { admin } = useSession();
  const requestId = useRef(newRequestId());
  const [created, setCreated] = useState<{ name: string; pak: string }>();
  if (created) return <NewKey owner={`the generator ${created.name}`} pak={created.pak} onClose={onClose} />;
  return (
    <ConfirmDialog
      title="New generator"
      action="Create"
      onClose={onClose}
      staysOpen
      onConfirm={async (form) => {
        const name = textIn(form, 'name');
        const { pak } = await admin.createGenerator({
          requestId: requestId.current,
          name,
          description: textIn(form, 'description'),
          registration: textIn(form, 'approve') === '' ? RegistrationPolicy.OPEN : RegistrationPolicy.APPROVE,
          rules: {
            allowNamespaces: wordsIn(form, 'namespaces'),
            allowKinds: wordsIn(form, 'kinds'),
            clusterScoped: textIn(form, 'cluster') !== '',
          },
        });
        setCreated({ name, pak });
      }}
    >
      <Field label="Name" name="name" hint="Lowercase letters, digits and hyphens." {...namePattern} />
      <Field label="Description" name="description" maxLength={1024} />
      <Field label="Allowed namespaces" name="namespaces" hint="For example shop or shop-*. Empty: any." />
      <Field label="Allowed kinds" name="kinds" hint="For example ConfigMap or apps/Deployment. Empty: any." />
      <label className="check">
        <input type="checkbox" name="cluster" value="yes" />
        May deploy cluster-scoped objects
      </label>
      <label className="check">
        <input type="checkbox" name="approve" value="yes" />
        Agents need approval by an admin to register
      </label>
    </ConfirmDialog>
  );
}
