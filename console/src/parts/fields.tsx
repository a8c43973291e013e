import { type InputHTMLAttributes, type ReactNode, useId } from 'react';

interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  readonly label: string;
  readonly hint?: ReactNode;
}

/** A field of a form with its name, and what it is for. */
export function Field({ label, hint, ...input }: FieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        autoComplete="off"
        spellCheck={false}
        aria-describedby={hint ? `${id}-hint` : undefined}
        {...input}
      />
      {hint && <small id={`${id}-hint`}>{hint}</small>}
    </div>
  );
}

/** Words of a field, separated by spaces or commas. */
export function wordsIn(form: FormData, name: string): string[] {
  return textIn(form, name)
    .split(/[\s,]+/)
    .filter(Boolean);
}

/** A field's text. */
export function textIn(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === 'string' ? value.trim() : '';
}

/** What the names of agents, generators and stacks are like. */
export const namePattern = { pattern: '[a-z0-9]([\\-a-z0-9]*[a-z0-9])?', maxLength: 63, required: true } as const;
