import { type InputHTMLAttributes, type ReactNode, type TextareaHTMLAttributes, useId } from 'react';

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

interface TextAreaProps extends TextareaHTMLAttributes<HTMLTextAreaElement> {
  readonly label: string;
  readonly hint: string;
}

/** A field of several lines. */
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
  /** The values of an enumeration, each with its words; the unspecified one is not for choosing. */
  readonly of: Readonly<Record<number, string>>;
  readonly value: number;
}

/** A choice of one value. */
export function Select({ label, name, of, value }: SelectProps) {
  return (
    <label className="field">
      <span>{label}</span>
      <select name={name} defaultValue={value}>
        {Object.entries(of)
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

/** What was chosen of an enumeration. */
export function choiceIn<E extends number>(form: FormData, name: string): E {
  return Number(textIn(form, name)) as E;
}

/** Lines of a field that are not empty. */
export function linesIn(form: FormData, name: string): string[] {
  return textIn(form, name)
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
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
