import type { Deployment } from '../../../gen/brokkr/v1/deployment_pb.ts';
import { ErrorMessage } from '../components/problem.tsx';
import { useLoad } from '../load.ts';
import { setQuery } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Diff } from './diff.tsx';
import { type DisplayedObject, decodeObjects, toDisplayed } from './manifest.ts';

interface CompareProps {
  readonly name: string;
  readonly deployments: readonly Deployment[];
  readonly left: number;
  readonly right: number;
}

/** Compares two revisions side by side. */
export function Compare({ name, deployments, left, right }: CompareProps) {
  const before = useObjects(name, left);
  const after = useObjects(name, right);
  const choose = (label: string, parameter: string, value: number) => (
    <label className="field inline">
      <span>{label}</span>
      <select value={value} onChange={(event) => setQuery({ [parameter]: event.target.value })}>
        {deployments.map(({ revision, namespace }) => (
          <option key={revision} value={revision}>
            revision {revision}
            {namespace && ` (namespace ${namespace})`}
          </option>
        ))}
      </select>
    </label>
  );
  return (
    <section aria-labelledby="compare">
      <h2 id="compare">Side by side</h2>
      <div className="filters">
        {choose('From', 'from', left)}
        {choose('to', 'to', right)}
      </div>
      <ErrorMessage error={before.error ?? after.error} />
      {before.data && after.data && (
        <Diff before={before.data} after={after.data} names={[`revision ${left}`, `revision ${right}`]} />
      )}
    </section>
  );
}

/** Loads the objects of a revision once, because revisions never change. */
function useObjects(name: string, revision: number) {
  const { broker } = useSession();
  return useLoad<DisplayedObject[]>(
    `objects ${name} ${revision}`,
    async (signal) =>
      decodeObjects((await broker.getDeployment({ stack: name, revision }, { signal })).manifest).map(toDisplayed),
    { once: true },
  );
}
