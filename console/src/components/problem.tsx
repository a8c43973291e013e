import { type ErrorSummary, summarizeError } from '../errors.ts';
import { Icon } from './icon.tsx';

/** Shows an error message, with the invalid fields when there are several. */
export function Problem({ summary: { message, violations } }: { summary: ErrorSummary }) {
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

/** Shows the error of a call; nothing when `error` is undefined. */
export function ErrorMessage({ error }: { error: unknown }) {
  return error === undefined ? null : <Problem summary={summarizeError(error)} />;
}

/** Replaces a list that has no items. */
export function EmptyState({ children }: { children: React.ReactNode }) {
  return <p className="nothing">{children}</p>;
}
