import { Link, pathOf, stackPath } from '../router.tsx';

/** Links to an agent by name, in the first cell of a row. */
export function AgentLink({ name }: { name: string }) {
  return (
    <Link className="name" href={pathOf('agents', name)}>
      {name}
    </Link>
  );
}

/** Links to a stack by "generator/name", in the first cell of a row. */
export function StackLink({ name }: { name: string }) {
  const slash = name.indexOf('/') + 1;
  return (
    <Link className="name" href={stackPath(name)}>
      <span className="faint">{name.slice(0, slash)}</span>
      {name.slice(slash)}
    </Link>
  );
}
