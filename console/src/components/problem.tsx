import { type Told, tell } from '../errors.ts';
import { Icon } from './icon.tsx';

/** What went wrong, in words. */
export function Problem({ told: { message, violations } }: { told: Told }) {
  return (
    <div className="problem" role="alert">
      <Icon name="warning" />
      <div>
        <p>{message}</p>
        {violations.length > 0 && (
          <ul>
            {violations.map((violation) => (
              <li key={violation}>{violation}</li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}

/** The error of a question, when there was one. */
export function LoadProblem({ error }: { error: unknown }) {
  return error === undefined ? null : <Problem told={tell(error)} />;
}

/** In the place of a list without items. */
export function Nothing({ children }: { children: React.ReactNode }) {
  return <p className="nothing">{children}</p>;
}
