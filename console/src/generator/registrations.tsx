import { useState } from 'react';
import { type Registration, RegistrationState } from '../../../gen/brokkr/v1/generator_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { Field, textIn } from '../components/fields.tsx';
import { AgentLink } from '../components/links.tsx';
import { LoadProblem, Nothing } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Ago } from '../components/time.tsx';
import { registrationStates, wordOf } from '../enum-labels.ts';
import { useAll } from '../pages.ts';
import { Link, pathOf } from '../router.tsx';
import { useSession } from '../session/session.ts';

type Doing = { readonly what: 'add' } | { readonly what: 'approve' | 'remove'; readonly registration: Registration };

/** Which agents serve which generator (or one generator), and who waits for an approval. */
export function Registrations({ generator = '' }: { generator?: string }) {
  const { admin, rules } = useSession();
  const [doing, setDoing] = useState<Doing>();
  const { data, error, reload } = useAll(`registrations ${generator}`, async (page, options) => {
    const { registrations: items, nextPageToken } = await admin.listRegistrations({ generator, ...page }, options);
    return { items, nextPageToken };
  });
  // Every agent is registered with the admins' own, for good.
  const rows = (data ?? [])
    .filter(({ generator: of }) => of !== 'system')
    .sort((a, b) => b.state - a.state || a.agent.localeCompare(b.agent, 'en', { numeric: true }));
  const doings: Column<Registration> = {
    head: 'More',
    width: '11rem',
    cell: (registration) => (
      <span className="cell-doings">
        {registration.state === RegistrationState.REQUESTED && (
          <button type="button" className="small" onClick={() => setDoing({ what: 'approve', registration })}>
            Approve<span className="hidden"> {registration.agent}</span>
          </button>
        )}
        <button type="button" className="small" onClick={() => setDoing({ what: 'remove', registration })}>
          Remove<span className="hidden"> {registration.agent}</span>
        </button>
      </span>
    ),
  };
  return (
    <>
      <LoadProblem error={error} />
      {rules && generator !== 'system' && (
        <div className="filters">
          <button type="button" onClick={() => setDoing({ what: 'add' })}>
            Register an agent
          </button>
        </div>
      )}
      {data && rows.length === 0 ? (
        <Nothing>
          {generator === 'system'
            ? 'Every agent is registered with it, for good.'
            : 'No agent is registered with a generator.'}
        </Nothing>
      ) : (
        <Table
          label="Registrations"
          columns={rules ? [...columns, doings] : columns}
          rows={rows}
          keyOf={({ agentId, generatorId }) => `${agentId} ${generatorId}`}
        />
      )}
      {doing && (
        <Dialogue
          doing={doing}
          generator={generator}
          onClose={() => {
            setDoing(undefined);
            reload();
          }}
        />
      )}
    </>
  );
}

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
  { head: 'State', width: '8.5rem', cell: ({ state }) => <Status word={wordOf(registrationStates, state)} /> },
  {
    head: 'Acts as',
    width: '1.5fr',
    wide: true,
    cell: ({ serviceAccount }) => serviceAccount || <span className="faint">the agent itself</span>,
  },
  { head: 'Since', width: '8rem', wide: true, cell: ({ createTime }) => <Ago time={createTime} /> },
];

function Dialogue({ doing, generator, onClose }: { doing: Doing; generator: string; onClose: () => void }) {
  const { admin } = useSession();
  if (doing.what === 'add')
    return (
      <ConfirmDialog
        title="Register an agent"
        action="Register"
        onClose={onClose}
        onDo={(form) =>
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
          hint="namespace/name that the agent acts as; empty: its own rights."
        />
      </ConfirmDialog>
    );
  const { agent, generator: of, serviceAccount } = doing.registration;
  if (doing.what === 'approve')
    return (
      <ConfirmDialog
        title={`Approve ${agent}`}
        action="Approve"
        onClose={onClose}
        onDo={() => admin.addRegistration({ agent, generator: of, serviceAccount })}
      >
        <p>
          {agent} serves {of}’s stacks from now on.
        </p>
      </ConfirmDialog>
    );
  return (
    <ConfirmDialog
      title={`End the registration of ${agent}`}
      action="Remove"
      danger
      name={agent}
      onClose={onClose}
      onDo={() => admin.removeRegistration({ agent, generator: of })}
    >
      <p>
        What {of} placed on {agent} is removed there.
      </p>
    </ConfirmDialog>
  );
}
