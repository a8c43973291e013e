import { useState } from 'react';
import type { Generator } from '../../../gen/brokkr/v1/generator_pb.ts';
import { ConfirmDialog, NewKey } from '../components/dialog.tsx';
import { textIn } from '../components/fields.tsx';
import { ErrorMessage } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { Rotate } from '../components/rotate.tsx';
import { Facts, ViewHeader } from '../components/view-header.tsx';
import { sizeText } from '../enum-labels.ts';
import { useLoad } from '../load.ts';
import { Link, navigate } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { ChangeLimits } from './change-limits.tsx';
import { registrationPolicyNames } from './generators.tsx';
import { Registrations } from './registrations.tsx';

/** One generator: its rules, its quotas and the agents registered with it. */
export function GeneratorView({ name }: { name: string }) {
  const { admin, isAdmin } = useSession();
  const { data: generator, error } = useLoad(
    `generator ${name}`,
    async (signal) => (await admin.getGenerator({ generator: name }, { signal })).generator,
  );
  return (
    <>
      <ViewHeader title={name} above={<Link href="/generators">Generators</Link>}>
        {isAdmin && generator && !generator.system && <GeneratorActions generator={generator} />}
      </ViewHeader>
      <ErrorMessage error={error} />
      {generator && <Facts facts={factsOf(generator)} />}
      <section aria-labelledby="registrations">
        <h2 id="registrations">Registrations</h2>
        <Registrations generator={name} />
      </section>
    </>
  );
}

function factsOf({ description, registration, system, stackCount, agentCount, createTime, rules, quota }: Generator) {
  const listed = (list: readonly string[] | undefined, none: string) => (list?.length ? list.join(', ') : none);
  return [
    ...(description === '' ? [] : [['Description', description] as const]),
    ['Stacks', `${stackCount}${system ? '' : ` of at most ${quota?.stacks || 1_000}`}`] as const,
    ['Agents', agentCount] as const,
    ['Agents register', registrationPolicyNames[registration]] as const,
    ...(system
      ? [['Rules', 'none: the system generator belongs to the admins'] as const]
      : [
          ['Allowed namespaces', listed(rules?.allowNamespaces, 'any')] as const,
          ['Denied namespaces', listed(rules?.denyNamespaces, 'none')] as const,
          ['Allowed kinds', listed(rules?.allowKinds, 'any')] as const,
          ['Denied kinds', listed(rules?.denyKinds, 'none')] as const,
          ['Cluster-scoped objects', rules?.clusterScoped ? 'allowed' : 'not allowed'] as const,
          ['Revisions kept per stack', quota?.deploymentsPerStack || 100] as const,
          ['Manifests', `at most ${sizeText(quota?.manifestBytes || 1n << 30n)}`] as const,
        ]),
    ['Created', <RelativeTime key="created" time={createTime} />] as const,
  ];
}

function GeneratorActions({ generator }: { generator: Generator }) {
  const { name, etag } = generator;
  const { admin } = useSession();
  const [action, setAction] = useState<'rotate' | 'delete'>();
  const [changing, setChanging] = useState<Generator>();
  const [pak, setPak] = useState<string>();
  const close = () => setAction(undefined);
  return (
    <>
      <button type="button" onClick={() => setChanging(generator)}>
        Limits
      </button>
      <button type="button" onClick={() => setAction('rotate')}>
        New key
      </button>
      <button type="button" className="danger" onClick={() => setAction('delete')}>
        Delete
      </button>
      {changing && <ChangeLimits generator={changing} onClose={() => setChanging(undefined)} />}
      {action === 'rotate' && (
        <Rotate
          name={name}
          rotate={(request) => admin.rotateGeneratorPak({ generator: name, ...request })}
          onKey={setPak}
          onClose={close}
        />
      )}
      {action === 'delete' && (
        <ConfirmDialog
          title={`Delete ${name}`}
          action="Delete"
          danger
          confirmText={name}
          onClose={close}
          onConfirm={async (form) => {
            await admin.deleteGenerator({ generator: name, etag, cascade: textIn(form, 'cascade') !== '' });
            navigate('/generators');
          }}
        >
          <label className="check">
            <input type="checkbox" name="cascade" value="yes" />
            Also delete its stacks and remove them from every agent
          </label>
        </ConfirmDialog>
      )}
      {pak !== undefined && <NewKey owner={`the generator ${name}`} pak={pak} onClose={() => setPak(undefined)} />}
    </>
  );
}
