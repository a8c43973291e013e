import { type InputHTMLAttributes, type ReactNode, type TextareaHTMLAttributes, useId } from 'react';

interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  readonly label: string;
  readonly hint?: ReactNode;
}

/** A labelled text field with an optional hint. */
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

interface TextAreaProps extends TextareaHTMLAttributes<HTMLTextAreaElement> {
  readonly label: string;
  readonly hint: string;
}

/** A labelled multi-line field with a hint. */
export function TextArea({ label, hint, ...area }: TextAreaProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <textarea id={id} rows={4} spellCheck={false} aria-describedby={`${id}-hint`} {...area} />
      <small id={`${id}-hint`}>{hint}</small>
    </div>
  );
}

interface SelectProps {
  readonly label: string;
  readonly name: string;
  /** The values of an enum with their labels; the unspecified value is not offered. */
  readonly options: Readonly<Record<number, string>>;
  readonly value: number;
}

/** A labelled select of one enum value. */
export function Select({ label, name, options, value }: SelectProps) {
  return (
    <label className="field">
      <span>{label}</span>
      <select name={name} defaultValue={value}>
        {Object.entries(options)
          .filter(([each]) => each !== '0')
          .map(([each, words]) => (
            <option key={each} value={each}>
              {words}
            </option>
          ))}
      </select>
    </label>
  );
}

/** Reads the selected enum value. */
export function selectedIn<E extends number>(form: FormData, name: string): E {
  return Number(textIn(form, name)) as E;
}

/** Reads the non-empty lines of a field. */
export function linesIn(form: FormData, name: string): string[] {
  return textIn(form, name)
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

/** Reads the words of a field, separated by spaces or commas. */
export function wordsIn(form: FormData, name: string): string[] {
  return textIn(form, name)
    .split(/[\s,]+/)
    .filter(Boolean);
}

/** Reads the trimmed text of a field. */
export function textIn(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === 'string' ? value.trim() : '';
}

/** Constraints on the names of agents, generators and stacks. */
export const namePattern = { pattern: '[a-z0-9]([\\-a-z0-9]*[a-z0-9])?', maxLength: 63, required: true } as const;
