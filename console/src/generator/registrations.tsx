import { useState } from 'react';
import { type Registration, RegistrationState } from '../../../gen/brokkr/v1/generator_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { Field, textIn } from '../components/fields.tsx';
import { AgentLink } from '../components/links.tsx';
import { EmptyState, ErrorMessage } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { Status } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { labelOf, registrationStateLabels } from '../enum-labels.ts';
import { useAllPages } from '../pages.ts';
import { Link, pathOf } from '../router.tsx';
import { useSession } from '../session/session.ts';

type Action = { readonly kind: 'add' } | { readonly kind: 'approve' | 'remove'; readonly registration: Registration };

/** Lists the registrations of agents with all generators or with one, including requests for approval. */
export function Registrations({ generator = '' }: { generator?: string }) {
  const { admin, isAdmin } = useSession();
  const [action, setAction] = useState<Action>();
  const { data, error, reload } = useAllPages(`registrations ${generator}`, async (page, options) => {
    const { registrations: items, nextPageToken } = await admin.listRegistrations({ generator, ...page }, options);
    return { items, nextPageToken };
  });
  // Every agent is always registered with the system generator.
  const rows = (data ?? [])
    .filter(({ generator: of }) => of !== 'system')
    .sort((a, b) => b.state - a.state || a.agent.localeCompare(b.agent, 'en', { numeric: true }));
  const actionsColumn: Column<Registration> = {
    head: 'Actions',
    width: '11rem',
    cell: (registration) => (
      <span className="cell-actions">
        {registration.state === RegistrationState.REQUESTED && (
          <button type="button" className="small" onClick={() => setAction({ kind: 'approve', registration })}>
            Approve<span className="hidden"> {registration.agent}</span>
          </button>
        )}
        <button type="button" className="small" onClick={() => setAction({ kind: 'remove', registration })}>
          Remove<span className="hidden"> {registration.agent}</span>
        </button>
      </span>
    ),
  };
  return (
    <>
      <ErrorMessage error={error} />
      {isAdmin && generator !== 'system' && (
        <div className="filters">
          <button type="button" onClick={() => setAction({ kind: 'add' })}>
            Register an agent
          </button>
        </div>
      )}
      {data && rows.length === 0 ? (
        <EmptyState>{emptyTexts[generator] ?? `No agent is registered with ${generator}.`}</EmptyState>
      ) : (
        <Table
          label="Registrations"
          columns={isAdmin ? [...columns, actionsColumn] : columns}
          rows={rows}
          keyOf={({ agentId, generatorId }) => `${agentId} ${generatorId}`}
        />
      )}
      {action && (
        <ActionDialog
          action={action}
          generator={generator}
          onClose={() => {
            setAction(undefined);
            reload();
          }}
        />
      )}
    </>
  );
}

/** Texts for a list without registrations, but for those with the system generator, by the generator that is shown; '' for all. */
const emptyTexts: Readonly<Record<string, string>> = {
  '': 'Agents are registered with the generator system only.',
  system: 'Every agent is always registered with it.',
};

const columns: readonly Column<Registration>[] = [
  {
    head: 'Agent',
    width: '2fr',
    cell: ({ agent }) => <AgentLink name={agent} />,
  },
  {
    head: 'Generator',
    width: '1.5fr',
    cell: ({ generator }) => <Link href={pathOf('generators', generator)}>{generator}</Link>,
  },
  { head: 'State', width: '8.5rem', cell: ({ state }) => <Status label={labelOf(registrationStateLabels, state)} /> },
  {
    head: 'Acts as',
    width: '1.5fr',
    wide: true,
    cell: ({ serviceAccount }) => serviceAccount || <span className="faint">the agent itself</span>,
  },
  { head: 'Since', width: '8rem', wide: true, cell: ({ createTime }) => <RelativeTime time={createTime} /> },
];

function ActionDialog({ action, generator, onClose }: { action: Action; generator: string; onClose: () => void }) {
  const { admin } = useSession();
  if (action.kind === 'add')
    return (
      <ConfirmDialog
        title="Register an agent"
        action="Register"
        onClose={onClose}
        onConfirm={(form) =>
          admin.addRegistration({
            agent: textIn(form, 'agent'),
            generator: textIn(form, 'generator'),
            serviceAccount: textIn(form, 'account'),
          })
        }
      >
        <Field label="Agent" name="agent" required maxLength={63} />
        <Field label="Generator" name="generator" required maxLength={63} defaultValue={generator} />
        <Field
          label="Service account"
          name="account"
          hint="namespace/name of the account that the agent acts as. Empty: its own."
        />
      </ConfirmDialog>
    );
  const { agent, generator: of, serviceAccount } = action.registration;
  if (action.kind === 'approve')
    return (
      <ConfirmDialog
        title={`Approve ${agent}`}
        action="Approve"
        onClose={onClose}
        onConfirm={() => admin.addRegistration({ agent, generator: of, serviceAccount })}
      >
        <p>
          {agent} starts to serve the stacks of {of}.
        </p>
      </ConfirmDialog>
    );
  return (
    <ConfirmDialog
      title={`Remove the registration of ${agent}`}
      action="Remove"
      danger
      confirmText={agent}
      onClose={onClose}
      onConfirm={() => admin.removeRegistration({ agent, generator: of })}
    >
      <p>
        The stacks of {of} are removed from {agent}.
      </p>
    </ConfirmDialog>
  );
}
