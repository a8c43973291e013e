import { Health, type ObjectHealth } from '../../../gen/brokkr/v1/health_pb.ts';
import type { ObjectRef } from '../../../gen/brokkr/v1/object_pb.ts';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { Icon } from '../components/icon.tsx';
import { LoadProblem } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { count, healths, wordOf } from '../enum-labels.ts';
import { useLoad } from '../load.ts';
import { useAll } from '../pages.ts';
import { Link } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { explainPath } from './placements.tsx';

/** How an object does on an agent that has trouble with it. */
interface Trouble extends ObjectHealth {
  readonly agent: string;
}

/** What a stack is made of: namespaces, the kinds in each, the objects of each, and where one is not healthy. */
export function Objects({ stack }: { stack: Stack }) {
  const { broker } = useSession();
  const name = `${stack.generator}/${stack.name}`;
  const { data: objects, error } = useLoad(
    `objects ${stack.currentDeploymentId}`,
    async (signal) => (await broker.getDeployment({ id: stack.currentDeploymentId }, { signal })).objects,
    { once: true },
  );
  const { data: health, error: healthError } = useAll(`health ${name}`, async (page, options) => {
    const { agents: items, nextPageToken } = await broker.getStackHealth({ stack: name, ...page }, options);
    return { items, nextPageToken };
  });
  const troubles = new Map<string, Trouble[]>();
  for (const { agent, objects: sick } of health ?? [])
    for (const each of sick) {
      const key = each.object ? kindAndName(each.object) : '';
      troubles.set(key, [...(troubles.get(key) ?? []), { ...each, agent }]);
    }
  const reporting = health?.filter((agent) => agent.health !== Health.UNSPECIFIED).length ?? 0;
  return (
    <>
      <LoadProblem error={error ?? healthError} />
      <p className="sum" role="status">
        {objects ? `${count(objects.length, 'object')}; ${count(reporting, 'agent')} reported how they do` : 'Loading…'}
      </p>
      <ul className="tree">
        {groupsBy(objects ?? [], ({ namespace }) => namespace || 'no namespace of their own').map(
          ([namespace, inside]) => (
            <li key={namespace}>
              <details open>
                <summary>
                  <Icon name="chevron" />
                  <strong>{namespace}</strong> <span className="faint">{count(inside.length, 'object')}</span>
                </summary>
                <ul>
                  {groupsBy(inside, ({ kind }) => kind).map(([kind, same]) => (
                    <li key={kind}>
                      <details open={objects !== undefined && objects.length <= 200}>
                        <summary>
                          <Icon name="chevron" />
                          {kind} <span className="faint">{same.length}</span>
                        </summary>
                        <ul>
                          {same.map((ref) => (
                            <Leaf
                              key={ref.name}
                              stack={name}
                              ref_={ref}
                              troubles={(troubles.get(kindAndName(ref)) ?? []).filter(isOf(ref))}
                              reporting={reporting}
                            />
                          ))}
                        </ul>
                      </details>
                    </li>
                  ))}
                </ul>
              </details>
            </li>
          ),
        )}
      </ul>
    </>
  );
}

interface LeafProps {
  readonly stack: string;
  readonly ref_: ObjectRef;
  readonly troubles: readonly Trouble[];
  readonly reporting: number;
}

function Leaf({ stack, ref_: { name }, troubles, reporting }: LeafProps) {
  const worst = Math.max(
    reporting === 0 ? Health.UNSPECIFIED : Health.HEALTHY,
    ...troubles.map(({ health }) => health),
  );
  return (
    <li className="leaf">
      <div>
        <code>{name}</code> <Status word={wordOf(healths, worst)} />
      </div>
      {troubles.length > 0 && (
        <ul>
          {troubles.slice(0, 20).map(({ agent, health, message }) => (
            <li key={agent}>
              <Status word={wordOf(healths, health)} /> on <Link href={explainPath({ stack, agent })}>{agent}</Link>
              <span className="message">{message}</span>
            </li>
          ))}
          {troubles.length > 20 && <li className="faint">and on {troubles.length - 20} more</li>}
        </ul>
      )}
    </li>
  );
}

function kindAndName({ apiVersion, kind, name }: ObjectRef): string {
  return `${apiVersion} ${kind} ${name}`;
}

/** An object that names no namespace is in the one that its agent fills in. */
function isOf({ namespace }: ObjectRef) {
  return ({ object }: Trouble) => namespace === '' || object?.namespace === namespace;
}

function groupsBy<T>(items: readonly T[], nameOf: (item: T) => string): [string, T[]][] {
  return [...Map.groupBy(items, nameOf)].sort(([a], [b]) => a.localeCompare(b));
}
