import { type ReactNode, useEffect } from 'react';

interface HeadProps {
  readonly title: string;
  readonly children?: ReactNode;
  /** Beside the title. */
  readonly aside?: ReactNode;
  /** Above it: where one comes from. */
  readonly above?: ReactNode;
}

/** The head of a view: its title, in the page and in the window's, and what can be done. */
export function Head({ title, children, aside, above }: HeadProps) {
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
      {children && <div className="doings">{children}</div>}
    </header>
  );
}

/** "name: value" pairs. */
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
