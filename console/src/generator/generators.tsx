import { useRef, useState } from 'react';
import { type Generator, RegistrationPolicy } from '../../../gen/brokkr/v1/generator_pb.ts';
import { ConfirmDialog, NewKey } from '../components/dialog.tsx';
import { Field, namePattern, textIn, wordsIn } from '../components/fields.tsx';
import { Head } from '../components/head.tsx';
import { Icon } from '../components/icon.tsx';
import { LoadProblem } from '../components/problem.tsx';
import { Clipped } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Ago } from '../components/time.tsx';
import { useAll } from '../pages.ts';
import { newRequestId } from '../request-id.ts';
import { Link, pathOf } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Registrations } from './registrations.tsx';

/** The tenants, and which agents serve them. */
export function Generators() {
  const { admin, rules } = useSession();
  const [adding, setAdding] = useState(false);
  const { data, error, reload } = useAll('generators', async (page, options) => {
    const { generators: items, nextPageToken } = await admin.listGenerators({ ...page, showDeleted: true }, options);
    return { items, nextPageToken };
  });
  return (
    <>
      <Head title="Generators">
        {rules && (
          <button type="button" className="primary" onClick={() => setAdding(true)}>
            <Icon name="plus" />
            New generator
          </button>
        )}
      </Head>
      <LoadProblem error={error} />
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

/** How agents come to serve a generator. */
export const policies: Readonly<Record<RegistrationPolicy, string>> = {
  [RegistrationPolicy.UNSPECIFIED]: 'at once',
  [RegistrationPolicy.OPEN]: 'at once',
  [RegistrationPolicy.APPROVE]: 'when an admin approves',
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
  { head: 'Agents register', width: '1.5fr', wide: true, cell: ({ registration }) => policies[registration] },
  {
    head: 'Description',
    width: '2fr',
    wide: true,
    cell: ({ description }) => <Clipped text={description} />,
  },
  { head: 'Created', width: '8rem', wide: true, cell: ({ createTime }) => <Ago time={createTime} /> },
];

function NewGenerator({ onClose }: { onClose: () => void }) {
  const { admin } = useSession();
  const requestId = useRef(newRequestId());
  const [made, setMade] = useState<{ name: string; pak: string }>();
  if (made) return <NewKey what={`the generator ${made.name}`} pak={made.pak} onClose={onClose} />;
  return (
    <ConfirmDialog
      title="New generator"
      action="Create"
      onClose={onClose}
      stays
      onDo={async (form) => {
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
        setMade({ name, pak });
      }}
    >
      <Field label="Name" name="name" hint="Small letters, digits and hyphens." {...namePattern} />
      <Field label="Description" name="description" maxLength={1024} />
      <Field label="Allowed namespaces" name="namespaces" hint="Such as shop or shop-*; empty: any." />
      <Field label="Allowed kinds" name="kinds" hint="Such as ConfigMap or apps/Deployment; empty: any." />
      <label className="check">
        <input type="checkbox" name="cluster" value="yes" />
        May deploy cluster-scoped objects
      </label>
      <label className="check">
        <input type="checkbox" name="approve" value="yes" />
        An admin approves each agent that wants to serve it
      </label>
    </ConfirmDialog>
  );
}
