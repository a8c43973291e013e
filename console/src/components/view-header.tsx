import { type ReactNode, useEffect } from 'react';

interface ViewHeaderProps {
  readonly title: string;
  readonly children?: ReactNode;
  /** Shown beside the title. */
  readonly aside?: ReactNode;
  /** Shown above the title: links to the parent views. */
  readonly above?: ReactNode;
}

/** The header of a view: its title, also set as the window's title, and its actions. */
export function ViewHeader({ title, children, aside, above }: ViewHeaderProps) {
  useEffect(() => {
    document.title = `${title} · Brokkr`;
  }, [title]);
  return (
    <header className="head">
      {above && <div className="above">{above}</div>}
      <div className="titles">
        <h1>{title}</h1>
        {aside}
      </div>
      {children && <div className="actions">{children}</div>}
    </header>
  );
}

/** Shows name and value pairs. */
export function Facts({ facts }: { facts: readonly (readonly [name: string, value: ReactNode])[] }) {
  return (
    <dl className="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
