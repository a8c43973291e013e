import { useState } from 'react';
import type { Generator } from '../../../gen/brokkr/v1/generator_pb.ts';
import { ConfirmDialog, NewKey } from '../components/dialog.tsx';
import { textIn } from '../components/fields.tsx';
import { Facts, Head } from '../components/head.tsx';
import { LoadProblem } from '../components/problem.tsx';
import { Rotate } from '../components/rotate.tsx';
import { Ago } from '../components/time.tsx';
import { size } from '../enum-labels.ts';
import { useLoad } from '../load.ts';
import { go, Link } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { ChangeLimits } from './change-limits.tsx';
import { policies } from './generators.tsx';
import { Registrations } from './registrations.tsx';

/** One tenant: what it may do, how much it may keep, and which agents serve it. */
export function GeneratorView({ name }: { name: string }) {
  const { admin, rules } = useSession();
  const { data: generator, error } = useLoad(
    `generator ${name}`,
    async (signal) => (await admin.getGenerator({ generator: name }, { signal })).generator,
  );
  return (
    <>
      <Head title={name} above={<Link href="/generators">Generators</Link>}>
        {rules && generator && !generator.system && <Doings generator={generator} />}
      </Head>
      <LoadProblem error={error} />
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
    ['Agents register', policies[registration]] as const,
    ...(system
      ? [['Rules', 'none: it is the admins’ own'] as const]
      : [
          ['Allowed namespaces', listed(rules?.allowNamespaces, 'any')] as const,
          ['Denied namespaces', listed(rules?.denyNamespaces, 'none')] as const,
          ['Allowed kinds', listed(rules?.allowKinds, 'any')] as const,
          ['Denied kinds', listed(rules?.denyKinds, 'none')] as const,
          ['Cluster-scoped objects', rules?.clusterScoped ? 'allowed' : 'not allowed'] as const,
          ['Revisions kept of a stack', quota?.deploymentsPerStack || 100] as const,
          ['Manifests', `at most ${size(quota?.manifestBytes || 1n << 30n)}`] as const,
        ]),
    ['Created', <Ago key="created" time={createTime} />] as const,
  ];
}

function Doings({ generator }: { generator: Generator }) {
  const { name, etag } = generator;
  const { admin } = useSession();
  const [doing, setDoing] = useState<'rotate' | 'delete'>();
  const [changing, setChanging] = useState<Generator>();
  const [pak, setPak] = useState<string>();
  const close = () => setDoing(undefined);
  return (
    <>
      <button type="button" onClick={() => setChanging(generator)}>
        Limits
      </button>
      <button type="button" onClick={() => setDoing('rotate')}>
        New key
      </button>
      <button type="button" className="danger" onClick={() => setDoing('delete')}>
        Delete
      </button>
      {changing && <ChangeLimits generator={changing} onClose={() => setChanging(undefined)} />}
      {doing === 'rotate' && (
        <Rotate
          name={name}
          rotate={(request) => admin.rotateGeneratorPak({ generator: name, ...request })}
          onKey={setPak}
          onClose={close}
        />
      )}
      {doing === 'delete' && (
        <ConfirmDialog
          title={`Delete ${name}`}
          action="Delete"
          danger
          name={name}
          onClose={close}
          onDo={async (form) => {
            await admin.deleteGenerator({ generator: name, etag, cascade: textIn(form, 'cascade') !== '' });
            go('/generators');
          }}
        >
          <label className="check">
            <input type="checkbox" name="cascade" value="yes" />
            Also its stacks, removed from every agent
          </label>
        </ConfirmDialog>
      )}
      {pak !== undefined && <NewKey what={`the generator ${name}`} pak={pak} onClose={() => setPak(undefined)} />}
    </>
  );
}
