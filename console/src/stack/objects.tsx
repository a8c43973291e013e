import { Health, type ObjectHealth } from '../../../gen/brokkr/v1/health_pb.ts';
import type { ObjectRef } from '../../../gen/brokkr/v1/object_pb.ts';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { Icon } from '../components/icon.tsx';
import { ErrorMessage } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { countText, healthLabels, labelOf } from '../enum-labels.ts';
import { useLoad } from '../load.ts';
import { useAllPages } from '../pages.ts';
import { Link } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { explainPath } from './placements.tsx';

/** An object that is not healthy on an agent. */
interface UnhealthyObject extends ObjectHealth {
  readonly agent: string;
}

/** Shows the objects of a stack by namespace and kind, and on which agents each is not healthy. */
export function Objects({ stack }: { stack: Stack }) {
  const { broker } = useSession();
  const name = `${stack.generator}/${stack.name}`;
  const { data: objects, error } = useLoad(
    `objects ${stack.currentDeploymentId}`,
    async (signal) => (await broker.getDeployment({ id: stack.currentDeploymentId }, { signal })).objects,
    { once: true },
  );
  const { data: agentHealth, error: healthError } = useAllPages(`health ${name}`, async (page, options) => {
    const { agents: items, nextPageToken } = await broker.getStackHealth({ stack: name, ...page }, options);
    return { items, nextPageToken };
  });
  const unhealthy = new Map<string, UnhealthyObject[]>();
  for (const { agent, objects: unhealthyObjects } of agentHealth ?? [])
    for (const objectHealth of unhealthyObjects) {
      const key = objectHealth.object ? kindAndName(objectHealth.object) : '';
      unhealthy.set(key, [...(unhealthy.get(key) ?? []), { ...objectHealth, agent }]);
    }
  const reportingAgents = agentHealth?.filter((agent) => agent.health !== Health.UNSPECIFIED).length ?? 0;
  return (
    <>
      <ErrorMessage error={error ?? healthError} />
      <p className="sum" role="status">
        {objects
          ? `${countText(objects.length, 'object')}; ${countText(reportingAgents, 'agent')} ${reportingAgents === 1 ? 'reports' : 'report'} health`
          : 'Loading…'}
      </p>
      <ul className="tree">
        {groupsBy(objects ?? [], ({ namespace }) => namespace || 'no namespace').map(([namespace, inNamespace]) => (
          <li key={namespace}>
            <details open>
              <summary>
                <Icon name="chevron" />
                <strong>{namespace}</strong> <span className="faint">{countText(inNamespace.length, 'object')}</span>
              </summary>
              <ul>
                {groupsBy(inNamespace, ({ kind }) => kind).map(([kind, ofKind]) => (
                  <li key={kind}>
                    <details open={objects !== undefined && objects.length <= 200}>
                      <summary>
                        <Icon name="chevron" />
                        {kind} <span className="faint">{ofKind.length}</span>
                      </summary>
                      <ul>
                        {ofKind.map((ref) => (
                          <Leaf
                            key={ref.name}
                            stack={name}
                            ref_={ref}
                            unhealthy={(unhealthy.get(kindAndName(ref)) ?? []).filter(isHealthOf(ref))}
                            reportingAgents={reportingAgents}
                          />
                        ))}
                      </ul>
                    </details>
                  </li>
                ))}
              </ul>
            </details>
          </li>
        ))}
      </ul>
    </>
  );
}

interface LeafProps {
  readonly stack: string;
  readonly ref_: ObjectRef;
  readonly unhealthy: readonly UnhealthyObject[];
  readonly reportingAgents: number;
}

function Leaf({ stack, ref_: { name }, unhealthy, reportingAgents }: LeafProps) {
  const worst = Math.max(
    reportingAgents === 0 ? Health.UNSPECIFIED : Health.HEALTHY,
    ...unhealthy.map(({ health }) => health),
  );
  return (
    <li className="leaf">
      <div>
        <code>{name}</code> <Status label={labelOf(healthLabels, worst)} />
      </div>
      {unhealthy.length > 0 && (
        <ul>
          {unhealthy.slice(0, 20).map(({ agent, health, message }) => (
            <li key={agent}>
              <Status label={labelOf(healthLabels, health)} /> on{' '}
              <Link href={explainPath({ stack, agent })}>{agent}</Link>
              <span className="message">{message}</span>
            </li>
          ))}
          {unhealthy.length > 20 && <li className="faint">and on {unhealthy.length - 20} more</li>}
        </ul>
      )}
    </li>
  );
}

function kindAndName({ apiVersion, kind, name }: ObjectRef): string {
  return `${apiVersion} ${kind} ${name}`;
}

/** Matches by namespace, unless the object names none: the agent then fills in its own. */
function isHealthOf({ namespace }: ObjectRef) {
  return ({ object }: UnhealthyObject) => namespace === '' || object?.namespace === namespace;
}

function groupsBy<T>(items: readonly T[], nameOf: (item: T) => string): [string, T[]][] {
  return [...Map.groupBy(items, nameOf)].sort(([a], [b]) => a.localeCompare(b));
}
